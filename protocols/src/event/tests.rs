use super::*;

fn start() -> Event {
    Event::Start { id: None, model: None }
}

fn text() -> Event {
    Event::Text("a".to_owned())
}

fn call(call: usize) -> Event {
    Event::CallStart { call, id: format!("c{call}"), name: "f".to_owned(), signature: None }
}

fn arguments(call: usize) -> Event {
    Event::CallArguments { call, json: "{}".to_owned() }
}

fn usage() -> Event {
    Event::Usage(Usage::default())
}

fn finish() -> Event {
    Event::Finish { reason: Finish::Stop, stop_sequence: None }
}

/// What becomes of these events, one after the other: the first that is refused, and why.
fn refused(events: &[Event]) -> Option<(usize, OutOfOrder)> {
    let mut order = Order::default();
    events.iter().enumerate().find_map(|(at, event)| order.admit(event).err().map(|why| (at, why)))
}

#[test]
fn an_answer_with_everything_in_it_is_in_order() {
    let thinking =
        [Event::Thinking("hm".to_owned()), Event::Signature("s".to_owned()), Event::Redacted("x".to_owned())];
    let mut events = vec![Event::Ping, start(), usage()];
    events.extend(thinking);
    events.extend([text(), call(0), call(1), arguments(1), arguments(0), arguments(1), Event::Ping, text()]);
    events.extend([Event::Refusal("no".to_owned()), finish(), usage(), Event::Ping, usage(), Event::End]);
    assert_eq!(refused(&events), None);
    let mut order = Order::default();
    for event in &events {
        assert!(!order.has_ended());
        order.admit(event).unwrap();
    }
    assert!(order.has_ended());
}

#[test]
fn an_answer_begins_once() {
    assert_eq!(refused(&[text()]), Some((0, OutOfOrder::Start)));
    assert_eq!(refused(&[usage()]), Some((0, OutOfOrder::Start)));
    assert_eq!(refused(&[finish()]), Some((0, OutOfOrder::Start)));
    assert_eq!(refused(&[Event::End]), Some((0, OutOfOrder::Start)));
    assert_eq!(refused(&[start(), text(), start()]), Some((2, OutOfOrder::Start)));
}

#[test]
fn calls_are_numbered_without_a_gap() {
    assert_eq!(refused(&[start(), call(1)]), Some((1, OutOfOrder::Call)));
    assert_eq!(refused(&[start(), call(0), call(0)]), Some((2, OutOfOrder::Call)));
    assert_eq!(refused(&[start(), call(0), call(2)]), Some((2, OutOfOrder::Call)));
    let mut events = vec![start()];
    events.extend((0..=CALLS_MAX).map(call));
    assert_eq!(refused(&events), Some((1 + CALLS_MAX, OutOfOrder::Call)));
}

#[test]
fn arguments_belong_to_a_call_that_has_begun() {
    assert_eq!(refused(&[start(), arguments(0)]), Some((1, OutOfOrder::Arguments)));
    assert_eq!(refused(&[start(), call(0), arguments(1)]), Some((2, OutOfOrder::Arguments)));
}

#[test]
fn nothing_is_said_behind_the_finish() {
    for late in [text(), call(0), Event::Thinking("hm".to_owned()), Event::Refusal("no".to_owned()), finish()]
    {
        assert_eq!(refused(&[start(), finish(), late]), Some((2, OutOfOrder::Finish)));
    }
    for late in [Event::Ping, usage(), Event::End] {
        let events = [start(), finish(), Event::End, late];
        assert_eq!(refused(&events), Some((3, OutOfOrder::Finish)));
    }
}

#[test]
fn an_answer_ends_with_a_reason() {
    assert_eq!(refused(&[start(), text(), Event::End]), Some((2, OutOfOrder::End)));
}

#[test]
fn an_answer_that_calls_tools_ends_for_that_reason_and_other_reasons_stay() {
    assert_eq!(Finish::Stop.with_calls(true), Finish::ToolCalls);
    assert_eq!(Finish::StopSequence.with_calls(true), Finish::ToolCalls);
    assert_eq!(Finish::Stop.with_calls(false), Finish::Stop);
    for other in [Finish::Length, Finish::ContentFilter, Finish::PauseTurn, Finish::Other("x".to_owned())] {
        assert_eq!(other.clone().with_calls(true), other);
    }
}

#[test]
fn the_tally_counts_pieces_and_text_and_keeps_the_last_real_usage() {
    let mut tally = Tally::default();
    let real = Usage { input: 5, output: 3, ..Usage::default() };
    let thought = Event::Thinking("Let me think about that.".to_owned());
    for event in [start(), thought, text(), Event::Text(String::new()), call(0), arguments(0)] {
        tally.take(&event);
    }
    assert_eq!((tally.contents(), tally.usage()), (4, None));
    assert!(tally.counted().output > 0 && tally.counted().reasoning > 0);
    for event in [usage(), Event::Usage(real), usage(), finish(), Event::End] {
        tally.take(&event);
    }
    assert_eq!((tally.contents(), tally.usage()), (4, Some(real)));
}
