//! A client spends its quota; its limiter is killed, then the whole gateway stops: nothing is forgotten.
//!
//! ```sh
//! cargo run --example accounts
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::path::Path;

use gateway_actors::ledger::{Backing, Durability, Store, StoreSettings};
use gateway_actors::{
    Ask, Booking, Client, ClientId, ClientTable, Dispatch, Endpoint, GatewayHandle, Limits, PoolSettings,
    Target, Usage, start_with,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("accounts-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let gateway = open(&folder.join("ledger.db")).await?;
    let spend = Usage { input: 400, output: 500, ..Usage::default() };
    admit(&gateway, 950).await?.admission.settle(Booking::reported(spend));
    println!("900 of 1000 are spent; 200 more: {}", told(admit(&gateway, 200).await));

    let limiter = gateway.shared().tree().find("RateLimiter ada").ok_or("no such actor")?;
    limiter.cell().ok_or("it does not run")?.kill_and_wait(None).await?;
    println!("its limiter was killed; 200 more: {}", told(admit(&gateway, 200).await));

    gateway.stop().await;
    let gateway = open(&folder.join("ledger.db")).await?;
    println!("the gateway was started anew; 200 more: {}", told(admit(&gateway, 200).await));
    gateway.stop().await;
    Ok(std::fs::remove_dir_all(folder)?)
}

async fn open(path: &Path) -> Result<GatewayHandle, Box<dyn std::error::Error>> {
    let limits = Limits { tokens_per_day: Some(1_000), ..Limits::default() };
    let clients = ClientTable::new(1, vec![Client { limits, ..Client::new(ClientId::parse("ada")?) }]);
    let pool = PoolSettings::with_key(Endpoint::new("openai", "main", "http://127.0.0.1:9/v1"));
    let now = std::time::UNIX_EPOCH.elapsed()?.as_millis().try_into()?;
    let settings = StoreSettings { path: path.into(), durability: Durability::Process, keep_days: 90 };
    let (store, recovered) = Store::open(settings, now)?;
    Ok(start_with(clients, vec![pool], Backing::File(Box::new(store)), recovered).await?.0)
}

async fn admit(gateway: &GatewayHandle, tokens: u64) -> Result<Dispatch, Box<dyn std::error::Error>> {
    let target = Target { provider: "openai".into(), model: "gpt-5.4-nano".into() };
    Ok(gateway.admit(ClientId::parse("ada")?, Ask::from(tokens), target).await?)
}

fn told(answer: Result<Dispatch, Box<dyn std::error::Error>>) -> String {
    answer.map_or_else(|refused| refused.to_string(), |_| "admitted".to_owned())
}
