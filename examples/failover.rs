//! A request whose first provider fails: who is asked next, what its health says, and what is charged.
//!
//! ```sh
//! cargo run --example failover
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::time::Duration;

use gateway_actors::{
    Ask, Blame, Booking, BreakerSettings, Candidate, Client, ClientId, ClientTable, Endpoint, Limits, Plan,
    PoolSettings, Target, Tried, Usage, start,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ada = ClientId::parse("ada")?;
    let limits = Limits { tokens_per_day: Some(1_000), ..Limits::default() };
    let clients = ClientTable::new(1, vec![Client { limits, ..Client::new(ada.clone()) }]);
    let pool = |name: &str| PoolSettings {
        breaker: BreakerSettings {
            consecutive: 2,
            cooling: Duration::from_secs(10),
            ..BreakerSettings::default()
        },
        ..PoolSettings::with_key(Endpoint::new(name, "main", "http://127.0.0.1:9/v1"))
    };
    let (gateway, _ended) = start(clients, vec![pool("dead"), pool("alive")]).await?;
    let candidate = |provider: &str| {
        let target = Target { provider: provider.into(), model: "m".into() };
        Candidate { target, price: None, key: None }
    };
    let plan = Plan::new(vec![candidate("dead"), candidate("alive")]).ok_or("a plan has targets")?;
    for request in 1..=3 {
        let mut dispatch = gateway.admit(ada.clone(), Ask::from(100), plan.clone()).await?;
        // ... the call itself would stand here; those to `dead` come to nothing.
        while &*dispatch.lease.target().provider == "dead" {
            let (at, key) = (dispatch.lease.at(), dispatch.lease.endpoint().key_name.clone());
            dispatch.lease.failed("no connection", Blame::Upstream);
            drop(dispatch.lease);
            // Told behind the failure, so it knows of it.
            let keys = gateway.keys().await?;
            let dead = keys.iter().find(|key| &*key.provider == "dead").ok_or("it has a key")?;
            let breaker = dead.models[0].breaker.as_str();
            println!("request {request}: dead has failed, its breaker is {breaker}");
            // The admission goes on to whoever is left; nothing is reserved twice.
            let tried = vec![Tried { at, key, again: false }];
            let next = gateway.again(dispatch.admission, 1, at, tried).await;
            dispatch = next.map_err(|(refusal, _)| refusal)?;
        }
        println!("request {request}: {} has answered", dispatch.lease.target().provider);
        dispatch.lease.succeeded();
        dispatch.admission.settle(Booking::counted(Usage { output: 10, ..Usage::default() }));
    }
    let used = gateway.inspect(ada).await?.tokens_per_day.map_or(0, |day| day.used);
    println!("ada has used {used} tokens");
    gateway.stop().await;
    Ok(())
}
