//! A client against its limits: fifty callers at once, and never one too many.
//!
//! ```sh
//! cargo run --example limits
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use gateway_actors::{
    Ask, Booking, Client, ClientId, ClientTable, Endpoint, Limits, PoolSettings, Refusal, Target, Usage,
    start,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ada = ClientId::parse("ada")?;
    let limits = Limits { concurrent_requests: Some(8), tokens_per_day: Some(1_000), ..Limits::default() };
    let clients = ClientTable::new(1, vec![Client { limits, ..Client::new(ada.clone()) }]);
    let pool = PoolSettings::with_key(Endpoint::new("openai", "main", "http://127.0.0.1:9/v1"));
    let (gateway, _ended) = start(clients, vec![pool]).await?;
    let admit = |tokens| {
        let target = Target { provider: "openai".into(), model: "gpt-5.4-nano".into() };
        let (gateway, ada) = (gateway.clone(), ada.clone());
        tokio::spawn(async move { gateway.admit(ada, Ask::from(tokens), target).await })
    };

    // Fifty at the same moment: eight get a slot, the others are told which limit refused them.
    let callers: Vec<_> = (0..50).map(|_| admit(10)).collect();
    let (mut granted, mut refused) = (Vec::new(), 0);
    for caller in callers {
        match caller.await? {
            Ok(dispatch) => granted.push(dispatch),
            Err(told) if matches!(told.refusal, Refusal::LimitReached(_)) => refused += 1,
            Err(told) => return Err(told.into()),
        }
    }
    println!("{} were admitted, {refused} were refused", granted.len());

    // Five used what they reserved; three hang up, and a value that is dropped gives everything back.
    for dispatch in granted.drain(..5) {
        dispatch.admission.settle(Booking::counted(Usage { output: 10, ..Usage::default() }));
    }
    drop(granted);
    let account = gateway.inspect(ada.clone()).await?;
    println!("used today: {}", account.tokens_per_day.map_or(0, |day| day.used));

    // 950 are left: a bound of 951 can't be held, one of 950 can.
    for tokens in [951, 950] {
        match admit(tokens).await? {
            Ok(dispatch) => println!("{tokens} tokens: admitted as {:?}", dispatch.admission.id()),
            Err(told) => println!("{tokens} tokens: {told}"),
        }
    }
    gateway.stop().await;
    Ok(())
}
