//! The gateway's supervision tree, for others to build on. It knows neither a web server nor an HTTP client.
//!
//! ```text
//! Gateway                      one for one; over 5 failures below it in 10 s end the process
//! ├─ Ledger                    the only writer of accounts; first up, last down
//! ├─ ClientRegistry            who exists; where each client's limiter is
//! ├─ Clients                   supervisor of limiters; a limiter that keeps failing is switched off alone
//! │  └─ RateLimiter "ada"      one per active client; retires when idle
//! └─ Providers                 supervisor of pools, publishes where they are
//!    └─ ProviderPool "openai"  chooses a key, queues fairly for max_concurrency, or passes the job on
//!       └─ Provider "openai/0" one key or region: its leases, and a breaker for each of its models
//! ```
//!
//! A request is a [`Job`](job::Job), passed forward: Gateway, ClientRegistry, RateLimiter, ProviderPool, Provider. Back
//! comes a [`Dispatch`], the right to call an upstream, or a [`Refused`]. Nobody asks and waits, and no
//! message handler does I/O. What is granted settles itself when dropped, so no way out of a call leaks.
//!
//! Every mailbox has a [`gate`] before it; every actor may be killed at any moment, and its head comment
//! says what is recovered and what callers see.
//!
//! # A topology in a few lines
//!
//! ```
//! # use std::sync::Arc;
//! use gateway_actors::{Ask, Client, ClientId, ClientTable, Booking, Endpoint, KeySettings, PoolSettings, Target, Usage, start};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ada = Client::new(ClientId::parse("ada")?);
//! let pool = PoolSettings::with_key(Endpoint::new("openai", "0", "http://127.0.0.1:9"));
//! let (gateway, _ended) = start(ClientTable::new(1, vec![ada]), vec![pool]).await?;
//!
//! let target = Target { provider: "openai".into(), model: "gpt-5.4-nano".into() };
//! let dispatch = gateway.admit(ClientId::parse("ada")?, Ask::from(100), target).await?;
//! // ... call dispatch.lease.endpoint() ...
//! dispatch.admission.settle(Booking::reported(Usage { output: 42, ..Usage::default() }));
//! gateway.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod booking;
pub mod breaker;
pub mod client;
pub mod client_registry;
pub mod client_table;
pub mod clients_supervisor;
pub mod dispatch;
pub mod fair_queue;
pub mod gate;
pub mod gateway;
pub mod glob;
pub mod handle;
pub mod job;
pub mod ledger;
pub mod provider;
pub mod provider_pool;
pub mod providers_supervisor;
pub mod rate_limiter;
pub mod refusal;
pub mod restart;
pub mod retry_budget;
pub mod secret;
pub mod shared;
pub mod standing;
pub mod tree;

pub use booking::{Booking, Ending, Failure};
pub use breaker::{Blame, BreakerSettings};
pub use client::{Client, ClientId};
pub use client_registry::Published;
pub use client_table::ClientTable;
pub use dispatch::{Admission, Dispatch, Lease};
pub use gateway_limits::{Ask, Denied, Limits, Outcome, Usage, View};
pub use handle::{Ended, GatewayHandle, RootEnded, start, start_with};
pub use job::{Candidate, Memo, Plan, Skipped, Target, Tried};
pub use provider::{Endpoint, KeyView};
pub use provider_pool::{KeySettings, PoolSettings};
pub use refusal::{Refusal, Refused};
pub use retry_budget::RetryBudgetSettings;
pub use secret::Secret;
pub use standing::QuotaReport;
