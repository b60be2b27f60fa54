use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn keeping() -> Keeping {
    Keeping::new([1; 32])
}

fn at(millis: u64) -> Now {
    Now { mono: Instant::from_nanos(millis * 1_000_000), unix: Duration::from_millis(millis) }
}

fn tell(keeping: &mut Keeping, now: Now, input: Input) -> Vec<Output> {
    keeping.handle_input(now, input);
    drain(keeping)
}

fn drain(keeping: &mut Keeping) -> Vec<Output> {
    std::iter::from_fn(|| keeping.poll_output()).collect()
}

fn op(n: u64) -> Input {
    Input::Op(StoreOp::Seq(n))
}

/// What the outputs say, in a word each; a batch is its operations, `prune` and `seeds`.
fn texts(outputs: Vec<Output>) -> Vec<String> {
    let text = |output| match output {
        Output::Lost => "lost".into(),
        Output::Stopped => "stopped".into(),
        Output::Write(batch) => batch.steps.iter().map(step_text).collect::<Vec<_>>().join(" "),
    };
    outputs.into_iter().map(text).collect()
}

fn step_text(step: &Step) -> String {
    match step {
        Step::AddListed { list, .. } => format!("add to {list:?}"),
        Step::Apply(ops) => numbers(ops).map(|n| n.to_string()).collect::<Vec<_>>().join(","),
        Step::Prune => "prune".into(),
        Step::RemoveListed { list, .. } => format!("remove from {list:?}"),
        Step::Seeds { .. } => "seeds".into(),
    }
}

fn numbers(ops: &[StoreOp]) -> impl Iterator<Item = u64> {
    ops.iter().map(|op| match op {
        StoreOp::Seq(n) => *n,
        other => panic!("{other:?} was not told"),
    })
}

/// One that has written before, and so does not prune for an hour.
fn pruned() -> Keeping {
    let mut keeping = keeping();
    assert_eq!(texts(tell(&mut keeping, at(0), Input::WantSeeds)), ["prune seeds"]);
    assert!(tell(&mut keeping, at(0), Input::Written).is_empty());
    keeping
}

#[test]
fn what_is_told_is_written_a_second_after_the_first_of_it() {
    let mut keeping = pruned();
    assert_eq!(keeping.poll_timeout(), None);
    assert!(tell(&mut keeping, at(100), op(1)).is_empty());
    assert!(tell(&mut keeping, at(900), op(2)).is_empty());
    assert_eq!(keeping.poll_timeout(), Some(at(1100).mono));
    keeping.handle_timeout(at(1099));
    assert!(drain(&mut keeping).is_empty());
    keeping.handle_timeout(at(1100));
    let outputs = drain(&mut keeping);
    assert!(matches!(&outputs[..], [Output::Write(batch)] if batch.unix == at(1100).unix));
    assert_eq!(texts(outputs), ["1,2"]);
    assert_eq!(keeping.poll_timeout(), None);
}

#[test]
fn what_comes_during_a_write_gathers_for_a_second_after_it() {
    let mut keeping = pruned();
    tell(&mut keeping, at(0), op(1));
    keeping.handle_timeout(at(1000));
    assert_eq!(texts(drain(&mut keeping)), ["1"]);
    assert!(tell(&mut keeping, at(1001), op(2)).is_empty());
    // However long it takes.
    keeping.handle_timeout(at(60_000));
    assert!(drain(&mut keeping).is_empty());
    assert!(tell(&mut keeping, at(60_000), Input::Written).is_empty());
    assert_eq!(keeping.poll_timeout(), Some(at(61_000).mono));
}

#[test]
fn a_full_batch_is_written_at_once_and_no_batch_is_fuller() {
    let mut keeping = pruned();
    for n in 1..256 {
        assert!(tell(&mut keeping, at(0), op(n)).is_empty());
    }
    let written = tell(&mut keeping, at(0), op(256));
    assert!(matches!(&written[..], [Output::Write(batch)]
        if matches!(&batch.steps[..], [Step::Apply(ops)] if ops.len() == 256)));
    for n in 0..600 {
        assert!(tell(&mut keeping, at(0), op(n)).is_empty());
    }
    for expected in [256, 256] {
        let written = tell(&mut keeping, at(0), Input::Written);
        assert!(matches!(&written[..], [Output::Write(batch)]
            if matches!(&batch.steps[..], [Step::Apply(ops)] if ops.len() == expected)));
    }
    assert!(tell(&mut keeping, at(0), Input::Written).is_empty(), "88 gather");
}

#[test]
fn seeds_are_not_waited_for_and_are_chosen_among_all_that_was_told_before() {
    let mut keeping = pruned();
    tell(&mut keeping, at(0), op(1));
    let written = tell(&mut keeping, at(0), Input::WantSeeds);
    let [Output::Write(batch)] = &written[..] else { panic!("{written:?}") };
    let Some(Step::Seeds { max_age, count, .. }) = batch.steps.last() else { panic!("{batch:?}") };
    assert_eq!((max_age.as_secs(), *count), (5 * 24 * 60 * 60, 30));
    assert_eq!(texts(written), ["1 seeds"]);

    // Wanted while a batch is written, with more before and after than fits into the next one.
    for n in 0..300 {
        tell(&mut keeping, at(0), op(n));
    }
    tell(&mut keeping, at(0), Input::WantSeeds);
    tell(&mut keeping, at(0), op(300));
    let batches: Vec<String> =
        (0..2).flat_map(|_| texts(tell(&mut keeping, at(0), Input::Written))).collect();
    assert!(batches[0].ends_with(",255") && batches[1].ends_with(",299 seeds"), "{batches:?}");
    assert!(tell(&mut keeping, at(0), Input::Written).is_empty());
}

#[test]
fn which_seeds_is_another_choice_each_time() {
    let choice = |keeping: &mut Keeping| {
        let written = tell(keeping, at(0), Input::WantSeeds);
        let [Output::Write(mut batch)] = <[Output; 1]>::try_from(written).unwrap() else {
            panic!()
        };
        tell(keeping, at(0), Input::Written);
        let Some(Step::Seeds { mut random, .. }) = batch.steps.pop() else { panic!("{batch:?}") };
        random.bytes::<8>()
    };
    let mut keeping = keeping();
    assert_ne!(choice(&mut keeping), choice(&mut keeping));
}

#[test]
fn what_strangers_cause_too_much_of_is_lost_and_what_the_user_wants_is_not() {
    let mut keeping = pruned();
    tell(&mut keeping, at(0), op(0));
    keeping.handle_timeout(at(1000));
    drain(&mut keeping);
    for n in 1..=4096 {
        assert!(tell(&mut keeping, at(1000), op(n)).is_empty());
    }
    assert_eq!(texts(tell(&mut keeping, at(1000), op(4097))), ["lost"]);
    let id = NodeId([1; 32]);
    let remove = Input::RemoveListed { list: List::Static, id };
    assert!(tell(&mut keeping, at(1000), remove).is_empty());
    assert!(tell(&mut keeping, at(1000), Input::WantSeeds).is_empty());
    let batches: Vec<String> =
        (0..17).flat_map(|_| texts(tell(&mut keeping, at(1000), Input::Written))).collect();
    assert!(batches[15].ends_with(",4096"), "{batches:?}");
    assert_eq!(batches[16], "remove from Static seeds");
    assert!(tell(&mut keeping, at(1000), Input::Written).is_empty());
}

#[test]
fn the_first_write_prunes_and_then_the_first_of_each_hour() {
    let mut keeping = keeping();
    let mut write = |seconds: u64| {
        tell(&mut keeping, at(1000 * (seconds - 1)), op(seconds));
        keeping.handle_timeout(at(1000 * seconds));
        let written = texts(drain(&mut keeping));
        tell(&mut keeping, at(1000 * seconds), Input::Written);
        written
    };
    assert_eq!(write(10), ["10 prune"]);
    assert_eq!(write(3609), ["3609"]);
    assert_eq!(write(3610), ["3610 prune"]);
    assert_eq!(write(9000), ["9000 prune"]);
    assert_eq!(write(9002), ["9002"]);
}

#[test]
fn lists_change_in_the_order_of_the_users_words() {
    let mut keeping = pruned();
    let node = Node::new(*peerage_node::SecretKey::from_bytes(&[7; 32]).unwrap().public());
    let id = node.id();
    let (list, node) = (List::Trusted, Box::new(node));
    tell(&mut keeping, at(0), Input::AddListed { list: List::Static, node: node.clone() });
    tell(&mut keeping, at(0), op(1));
    tell(&mut keeping, at(0), Input::RemoveListed { list: List::Static, id });
    tell(&mut keeping, at(0), Input::AddListed { list, node });
    keeping.handle_timeout(at(1000));
    let written = texts(drain(&mut keeping));
    assert_eq!(written, ["add to Static remove from Static add to Trusted 1"]);
}

#[test]
fn the_end_writes_what_waits_without_delay_and_then_nothing_is_kept() {
    let mut keeping = pruned();
    assert!(tell(&mut keeping, at(0), op(1)).is_empty());
    assert_eq!(texts(tell(&mut keeping, at(1), Input::Stop)), ["1"]);
    // What comes while the last batch is written is kept too.
    assert!(tell(&mut keeping, at(2), op(2)).is_empty());
    assert!(tell(&mut keeping, at(2), Input::Stop).is_empty());
    assert_eq!(texts(tell(&mut keeping, at(3), Input::Written)), ["2"]);
    assert_eq!(texts(tell(&mut keeping, at(4), Input::Written)), ["stopped"]);
    assert_eq!(texts(tell(&mut keeping, at(5), op(3))), ["lost"]);
    assert_eq!(keeping.poll_timeout(), None);
    assert!(tell(&mut keeping, at(5), Input::Stop).is_empty());
}

#[test]
fn a_run_in_which_nothing_was_written_prunes_at_its_end() {
    let mut keeping = keeping();
    assert_eq!(texts(tell(&mut keeping, at(0), Input::Stop)), ["prune"]);
    assert_eq!(texts(tell(&mut keeping, at(0), Input::Written)), ["stopped"]);
    assert_eq!(texts(tell(&mut pruned(), at(0), Input::Stop)), ["stopped"]);
}

proptest! {
    /// Whatever the order, everything is written once and in its order, and one batch at a time.
    #[test]
    fn everything_that_is_told_is_written_once_and_in_its_order(
        steps in prop::collection::vec((0..4_u8, 0..1500_u64), 1..200),
    ) {
        let (mut keeping, mut now) = (keeping(), 0);
        let (mut told, mut written, mut seeds) = (0, Vec::new(), (0, 0));
        let (mut is_writing, mut has_stopped) = (false, false);
        let ends = std::iter::repeat_n((9, 0), 20);
        for (what, wait) in steps.into_iter().chain([(8, 0)]).chain(ends) {
            now += wait;
            match what {
                0 | 1 => {
                    told += 1;
                    keeping.handle_input(at(now), op(told));
                }
                2 => {
                    seeds.0 += 1;
                    keeping.handle_input(at(now), Input::WantSeeds);
                }
                8 => keeping.handle_input(at(now), Input::Stop),
                _ if is_writing => {
                    is_writing = false;
                    keeping.handle_input(at(now), Input::Written);
                }
                _ => keeping.handle_timeout(at(now)),
            }
            for output in drain(&mut keeping) {
                match output {
                    Output::Lost => prop_assert!(false, "there is room for all"),
                    Output::Stopped => has_stopped = true,
                    Output::Write(batch) => {
                        prop_assert!(!is_writing);
                        is_writing = true;
                        for step in &batch.steps {
                            match step {
                                Step::Apply(ops) => written.extend(numbers(ops)),
                                Step::Seeds { .. } => seeds.1 += 1,
                                _ => {}
                            }
                        }
                    }
                }
            }
            let due = keeping.poll_timeout();
            prop_assert!(due.is_none_or(|due| due <= at(now).mono + SECOND));
            prop_assert!(!(is_writing && due.is_some()));
        }
        // Each question takes a batch of its own.
        if seeds.0 < 10 {
            prop_assert!(has_stopped);
            prop_assert_eq!(written, (1..=told).collect::<Vec<_>>());
            prop_assert_eq!(seeds.0, seeds.1);
        }
    }
}
