//! Every example runs, says what it promises, and stays short enough to be read at once.

use std::path::Path;
use std::process::Command;

/// Runs an example as its head says, with the cargo that runs this test.
fn run(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join(format!("examples/{name}.rs"))).unwrap();
    assert!(source.contains(&format!("cargo run --example {name}")), "{name} says how it is run");
    assert!(source.lines().count() <= 60, "{name} is under 60 lines");
    let ran = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--example", name])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn hello_shows_one_call_and_its_account() {
    assert_eq!(
        run("hello"),
        "ada may call gpt-5.4-nano at http://127.0.0.1:9/v1\n\
         ada has used 42 of 1000 tokens today, 0 are reserved\n\
         the tree has ended: Stopped\n"
    );
}

#[test]
fn limits_admits_as_many_as_there_are_slots_and_tokens() {
    let said = run("limits");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["8 were admitted, 42 were refused", "used today: 50"]);
    assert!(lines[2].starts_with("951 tokens: tokens_per_day has too little left: 50 of 1000"), "{said}");
    assert!(lines[3].starts_with("950 tokens: admitted"), "{said}");
}

#[test]
fn supervision_loses_no_token_whichever_actor_dies() {
    let said = run("supervision");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    for (line, used) in lines.iter().zip((10..).step_by(10)) {
        assert!(line.ends_with(&format!("ada has used {used}")), "{line}");
    }
}

#[test]
fn accounts_are_as_spent_after_the_death_of_the_limiter_and_of_the_gateway() {
    let said = run("accounts");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, told) in lines.iter().zip([
        "900 of 1000 are spent; 200 more: ",
        "its limiter was killed; 200 more: ",
        "the gateway was started anew; 200 more: ",
    ]) {
        let refused = format!("{told}tokens_per_day has too little left: 900 of 1000 are taken; ");
        assert!(line.starts_with(&refused), "{line}");
    }
}

#[test]
fn failover_asks_the_one_that_is_alive_and_leaves_the_dead_one_alone() {
    assert_eq!(
        run("failover"),
        "request 1: dead has failed, its breaker is closed\n\
         request 1: alive has answered\n\
         request 2: dead has failed, its breaker is open\n\
         request 2: alive has answered\n\
         request 3: alive has answered\n\
         ada has used 30 tokens\n"
    );
}

#[test]
fn own_provider_answers_by_itself_behind_the_limits_of_the_tree() {
    assert_eq!(run("own_provider"), "question a this is\ntoo one this is and\nada has used 18 tokens\n");
}
