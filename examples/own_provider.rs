//! A provider of one's own: an actor that answers by itself, behind the limits and accounts of the tree.
//!
//! ```sh
//! cargo run --example own_provider
//! ```
//!
//! The tree says who may call whom, and counts. The call is the business of whoever holds the dispatch.

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use gateway_actors::{
    Ask, Booking, Client, ClientId, ClientTable, Endpoint, Limits, PoolSettings, Target, Usage, start,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call_t};

/// Answers a prompt with its words in reverse.
struct Reverser;
struct Question(String, RpcReplyPort<String>);
type Done = Result<(), ActorProcessingErr>;

impl Actor for Reverser {
    type Msg = Question;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Question>, (): ()) -> Done {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Question>, Question(prompt, reply): Question, (): &mut ()) -> Done {
        // Nobody may be waiting any more; that is the caller's affair.
        let _ = reply.send(prompt.split(' ').rev().collect::<Vec<_>>().join(" "));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ada = ClientId::parse("ada")?;
    let limits = Limits { tokens_per_day: Some(1_000), ..Limits::default() };
    let clients = ClientTable::new(1, vec![Client { limits, ..Client::new(ada.clone()) }]);
    let pool = PoolSettings::with_key(Endpoint::new("own", "main", "in this process"));
    let (gateway, _ended) = start(clients, vec![pool]).await?;
    let (reverser, _) = Actor::spawn(None, Reverser, ()).await?;
    for prompt in ["is this a question", "and is this one too"] {
        let words = prompt.split(' ').count() as u64;
        let target = Target { provider: "own".into(), model: "reverse".into() };
        let mut dispatch = gateway.admit(ada.clone(), Ask::from(2 * words), target).await?;
        println!("{}", call_t!(reverser, Question, 1_000, prompt.to_owned())?);
        dispatch.lease.succeeded();
        let usage = Usage { input: words, output: words, ..Usage::default() };
        dispatch.admission.settle(Booking::reported(usage));
    }
    let used = gateway.inspect(ada).await?.tokens_per_day.map_or(0, |day| day.used);
    println!("ada has used {used} tokens");
    gateway.stop().await;
    Ok(())
}
