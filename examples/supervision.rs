//! Kills every actor below the root in turn, while a call is out, and prints what callers saw.
//!
//! ```sh
//! cargo run --example supervision
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::time::Duration;

use gateway_actors::{
    Ask, Booking, Client, ClientId, ClientTable, Endpoint, GatewayHandle, Limits, PoolSettings, Target,
    Usage, start,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ada = ClientId::parse("ada")?;
    let limits = Limits { tokens_per_day: Some(1_000), ..Limits::default() };
    let clients = ClientTable::new(1, vec![Client { limits, ..Client::new(ada.clone()) }]);
    let pool = PoolSettings::with_key(Endpoint::new("openai", "main", "http://127.0.0.1:9/v1"));
    let (gateway, _ended) = start(clients, vec![pool]).await?;

    for name in ["RateLimiter ada", "Provider openai/main", "ProviderPool openai", "Providers", "Ledger"] {
        let out = admit(&gateway, &ada).await?;
        let node = gateway.shared().tree().find(name).ok_or("no such actor")?;
        let before = node.restarts();
        node.cell().ok_or("it does not run")?.kill();
        // The call that is out goes on, and settles with whoever is there.
        out.admission.settle(Booking::counted(Usage { output: 10, ..Usage::default() }));
        drop(out.lease);

        let mut told = Vec::new();
        let next = loop {
            match admit(&gateway, &ada).await {
                Ok(next) => break next,
                Err(refused) => told.push(refused.to_string()),
            }
        };
        drop(next);
        while node.restarts() == before || !gateway.shared().open_admissions().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let used = gateway.inspect(ada.clone()).await?.tokens_per_day.map_or(0, |day| day.used);
        println!("killed {name}: callers were told {told:?}, ada has used {used}");
    }
    gateway.stop().await;
    Ok(())
}

async fn admit(
    gateway: &GatewayHandle,
    ada: &ClientId,
) -> Result<gateway_actors::Dispatch, gateway_actors::Refused> {
    let target = Target { provider: "openai".into(), model: "gpt-5.4-nano".into() };
    gateway.admit(ada.clone(), Ask::from(100), target).await
}
