use super::*;
use crate::event::CALLS_MAX;

fn start() -> Event {
    Event::Start { id: None, model: None }
}

fn call(call: usize) -> Event {
    Event::CallStart { call, id: format!("c{call}"), name: "f".to_owned(), signature: None }
}

fn arguments(call: usize, json: &str) -> Event {
    Event::CallArguments { call, json: json.to_owned() }
}

fn finish(reason: Finish, stop: Option<&str>) -> Event {
    Event::Finish { reason, stop_sequence: stop.map(String::from) }
}

/// What is written for these events.
fn passed(events: &[Event]) -> Vec<Event> {
    let mut passage = Passage::default();
    let mut written = Vec::new();
    for event in events {
        passage.pass(event.clone(), &mut |event| written.push(event.clone())).unwrap();
    }
    written
}

const USAGE: Usage = Usage { input: 5, cache_read: 0, cache_write: 0, output: 3, reasoning: 0 };

#[test]
fn calls_without_arguments_get_an_empty_object_before_the_finish() {
    let said = [
        start(),
        call(0),
        call(1),
        arguments(1, " "),
        call(2),
        arguments(2, "{\"a\""),
        finish(Finish::Stop, None),
    ];
    let expected = [
        start(),
        call(0),
        call(1),
        arguments(1, " "),
        call(2),
        arguments(2, "{\"a\""),
        arguments(0, "{}"),
        arguments(1, "{}"),
        finish(Finish::ToolCalls, None),
    ];
    assert_eq!(passed(&said), expected);
}

#[test]
fn a_stop_text_is_named_only_where_it_is_the_reason() {
    let met = finish(Finish::StopSequence, Some("END"));
    assert_eq!(passed(&[start(), met.clone()]), [start(), met.clone()]);
    let with_call = passed(&[start(), call(0), arguments(0, "{}"), met]);
    assert_eq!(with_call.last(), Some(&finish(Finish::ToolCalls, None)));
}

#[test]
fn without_a_report_the_answer_shows_what_was_counted() {
    let text = Event::Text("Hello, world.".to_owned());
    let mut passage = Passage::default();
    let mut written = Vec::new();
    for event in [start(), text, finish(Finish::Stop, None), Event::End] {
        passage.pass(event, &mut |event| written.push(event.clone())).unwrap();
    }
    assert_eq!(written[3..], [Event::Usage(passage.counted()), Event::End]);
    // What was counted is no report.
    assert_eq!((passage.usage(), passage.has_ended()), (None, true));
}

#[test]
fn a_report_of_zeros_does_not_follow_a_real_one() {
    let (real, zeros) = (Event::Usage(USAGE), Event::Usage(Usage::default()));
    let said = [start(), zeros.clone(), real.clone(), zeros.clone(), finish(Finish::Stop, None), Event::End];
    let expected = [start(), zeros, real, finish(Finish::Stop, None), Event::End];
    assert_eq!(passed(&said), expected);
}

#[test]
fn what_is_out_of_order_is_not_passed_on() {
    let mut passage = Passage::default();
    let mut written = 0;
    passage.pass(start(), &mut |_| written += 1).unwrap();
    assert_eq!(passage.pass(call(1), &mut |_| written += 1), Err(OutOfOrder::Call));
    assert_eq!(passage.pass(Event::End, &mut |_| written += 1), Err(OutOfOrder::End));
    for number in 0..CALLS_MAX {
        passage.pass(call(number), &mut |_| ()).unwrap();
    }
    assert_eq!(passage.pass(call(CALLS_MAX), &mut |_| written += 1), Err(OutOfOrder::Call));
    assert_eq!((written, passage.contents()), (1, CALLS_MAX as u64));
}
