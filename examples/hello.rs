//! The smallest topology: one client, one provider, the whole tree without HTTP.
//!
//! ```sh
//! cargo run --example hello
//! ```
//!
//! A request asks the tree for a *dispatch*: the right to call, and whom. What is done with it is up to you;
//! when it is dropped or settled, the client's account is right.

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use gateway_actors::{
    Ask, Booking, Client, ClientId, ClientTable, Endpoint, Limits, PoolSettings, Target, Usage, start,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ada = ClientId::parse("ada")?;
    let limits = Limits { tokens_per_day: Some(1_000), ..Limits::default() };
    let clients = ClientTable::new(1, vec![Client { limits, ..Client::new(ada.clone()) }]);
    let pool = PoolSettings::with_key(Endpoint::new("openai", "main", "http://127.0.0.1:9/v1"));
    let (gateway, mut ended) = start(clients, vec![pool]).await?;

    // At most 400 tokens: admitted, reserved, and a key chosen.
    let target = Target { provider: "openai".into(), model: "gpt-5.4-nano".into() };
    let dispatch = gateway.admit(ada.clone(), Ask::from(400), target).await?;
    println!("ada may call {} at {}", dispatch.lease.target().model, dispatch.lease.endpoint().base_url);

    // ... the call itself would stand here; it used 42 tokens.
    dispatch.admission.settle(Booking::counted(Usage { output: 42, ..Usage::default() }));
    drop(dispatch.lease);

    let account = gateway.inspect(ada).await?;
    let day = account.tokens_per_day.ok_or("ada has a daily limit")?;
    println!("ada has used {} of {} tokens today, {} are reserved", day.used, day.max, day.reserved);

    gateway.stop().await;
    println!("the tree has ended: {:?}", ended.wait().await);
    Ok(())
}
