//! One provider's trouble is nobody else's: whoever asks another one is answered as ever.

use std::time::Duration;

use gateway_testkit::Reply;
use gateway_testkit::deadline::patiently;

use super::{Pair, STURDY, Setting, by, question};

/// Clients of the provider in trouble, all at once.
const TROUBLED: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_hangs_resets_or_floods_leaves_the_others_as_they_are() {
    let first = format!("timeouts = {{ connect = '10s' }}\n{STURDY}");
    for trouble in
        [Reply::never(), Reply::reset(), Reply::header_flood(), Reply::text("late").stall_after_head()]
    {
        let pair = Pair::build(Setting { first: &first, ..Setting::default() }, |b| b.metered("bob")).await;
        pair.first.always(trouble);
        let mut troubled = Vec::new();
        for nth in 0..TROUBLED {
            let mut client = pair.gateway.connect().await;
            client.send(&question("bob", "first/gpt-one", nth % 2 == 0)).await;
            troubled.push(client);
        }
        pair.first.arrived(TROUBLED).await;
        let others = async {
            let mut client = pair.gateway.connect().await;
            for nth in 0..100 {
                by(&client.ask(&question("ada", "second/gpt-two", nth % 2 == 0)).await, "second", 1);
            }
        };
        let took = tokio::time::timeout(Duration::from_secs(10), others).await;
        assert!(took.is_ok(), "a hundred calls of another provider took longer than ten seconds");
        drop(troubled);
        patiently("the troubled ones to be gone", pair.gateway.is_quiet()).await;
        assert_eq!(pair.gateway.tokens_used("ada").await, 100 * 11);
        pair.gateway.ends_quiet().await;
    }
}
