//! What the candidates machine does with sources, nodes and records.

use peerage_machine::Now;
use peerage_node::LocalRecord;
use proptest::prelude::*;

use super::*;
use crate::testing::{lan, public, secret};

const A: Source = Source::DISCOVERY_V4;
const B: Source = Source::DISCOVERY_V5;
const C: Source = Source::new("mine");

/// What the taker says when it skips one.
const BUSY: &str = "busy";

type Why = &'static str;

/// How long a node does not come again.
const WINDOW: Duration = seconds(35);

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The machine, and a taker that wants so many more and takes all of them.
struct World {
    machine: Candidates<Why>,
    numbers: BTreeMap<NodeId, u32>,
    now: Now,
    wanted: usize,
    /// What each source was told last.
    told: BTreeMap<Source, usize>,
    taken: Vec<(u32, Source)>,
    asked: Vec<u32>,
    not_taken: Vec<(u32, Source, Cause<Why>)>,
    /// The last node that was taken.
    last: Option<Node>,
}

impl World {
    fn new(sources: &[Source]) -> Self {
        let mut world = Self {
            machine: Candidates::new(WINDOW),
            numbers: (0..NODES).map(|n| (id(n), n)).collect(),
            // Not the beginning of time, at which everything is as it was.
            now: Now::default().later(seconds(1)),
            wanted: 0,
            told: BTreeMap::new(),
            taken: Vec::new(),
            asked: Vec::new(),
            not_taken: Vec::new(),
            last: None,
        };
        for source in sources {
            world.tell(Input::AddSource(*source));
        }
        world
    }

    fn tell(&mut self, input: Input<Why>) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::AskRecord { node } => self.asked.push(self.numbers[&node.id()]),
                Output::Candidate { node, source } => {
                    self.taken.push((self.numbers[&node.id()], source));
                    self.last = Some(node);
                    self.wanted -= 1;
                    self.machine.handle_input(self.now, Input::Want { count: self.wanted });
                }
                Output::NotTaken { id, source, cause } => {
                    self.not_taken.push((self.numbers[&id], source, cause));
                }
                Output::Want { source, count } => {
                    self.told.insert(source, count);
                }
            }
        }
        let bound = Candidates::<Why>::memory_bound(self.machine.buffers.len());
        assert!(self.machine.memory() <= bound);
    }

    fn want(&mut self, count: usize) {
        self.wanted = count;
        self.tell(Input::Want { count });
    }

    /// A source finds nodes of which no record is known.
    fn find(&mut self, source: Source, nodes: impl IntoIterator<Item = u32>) {
        for n in nodes {
            self.tell(Input::Found { node: bare(n), source });
        }
    }

    fn answer(&mut self, n: u32, record: Option<Record>) {
        self.tell(Input::Record { id: id(n), record });
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.later(span);
        self.machine.handle_timeout(self.now);
        self.drain();
    }

    /// What was taken since this was asked last.
    fn taken(&mut self) -> Vec<(u32, Source)> {
        std::mem::take(&mut self.taken)
    }

    fn asked(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.asked)
    }

    fn not_taken(&mut self) -> Vec<(u32, Source, Cause<Why>)> {
        std::mem::take(&mut self.not_taken)
    }

    fn why(&self, n: u32) -> Option<Cause<Why>> {
        self.machine.why(self.now.mono, &id(n)).map(|it| it.cause)
    }
}

fn id(n: u32) -> NodeId {
    secret(n).public().id()
}

/// More than any test has.
const NODES: u32 = 100;

fn bare(n: u32) -> Node {
    Node::from_endpoint(*secret(n).public(), public(n), None)
}

/// The record of a node that is of network `net`.
fn of_net(n: u32, net: u8, tcp: Option<SocketAddr>) -> Record {
    let mut local = LocalRecord::new(secret(n), 0);
    local.set_attribute("net", vec![net]).unwrap();
    if let Some(SocketAddr::V4(tcp)) = tcp {
        local.set_ip4(Some(*tcp.ip())).unwrap();
        local.set_tcp4(Some(tcp.port())).unwrap();
    }
    local.record().clone()
}

const OTHER: Unfit = Unfit("another network");

fn only(net: u8) -> Input<Why> {
    Input::SetFilter(Some(Filter::new(move |record| {
        if record.get("net") == Some(&[net]) { Ok(()) } else { Err(OTHER) }
    })))
}

#[test]
fn sources_take_turns_and_one_that_has_nothing_costs_the_others_nothing() {
    let mut world = World::new(&[A, B, C]);
    world.find(A, 0..5);
    world.find(B, 10..13);
    assert_eq!(world.taken(), []);
    world.want(100);
    // Of which one has more.
    let turns = [(0, A), (10, B), (1, A), (11, B), (2, A), (12, B), (3, A), (4, A)];
    assert_eq!(world.taken(), turns);
    world.find(B, [13]);
    assert_eq!(world.taken(), [(13, B)]);
}

#[test]
fn a_source_that_was_idle_is_next_but_has_saved_up_no_more_turns() {
    let mut world = World::new(&[A, B]);
    world.want(10);
    world.find(A, 0..10);
    assert_eq!(world.taken().len(), 10);
    world.find(A, 10..14);
    world.find(B, 20..24);
    world.want(4);
    assert_eq!(world.taken(), [(20, B), (10, A), (21, B), (11, A)]);
}

#[test]
fn a_flood_fills_only_the_buffer_of_its_own_source() {
    let mut world = World::new(&[A, B]);
    world.find(A, 0..50);
    let lost: Vec<_> = (32..50).map(|n| (n, A, Cause::NoRoom)).collect();
    assert_eq!(world.not_taken(), lost);
    world.find(B, 60..63);
    assert_eq!(world.not_taken(), []);
    world.want(6);
    assert_eq!(world.taken(), [(0, A), (60, B), (1, A), (61, B), (2, A), (62, B)]);
    assert_eq!(world.why(40), Some(Cause::NoRoom));
}

#[test]
fn whoever_holds_a_subnet_gets_a_quarter_of_a_buffer() {
    let mut world = World::new(&[A, B]);
    let at = |n: u32, first: u8, last: u32| {
        let ip = [first, 0, 0, u8::try_from(last).unwrap()];
        let node = Node::from_endpoint(*secret(n).public(), (ip, 30303).into(), None);
        Input::Found { node, source: A }
    };
    for n in 0..12 {
        world.tell(at(n, 11, n));
    }
    let lost: Vec<_> = (8..12).map(|n| (n, A, Cause::SubnetFull)).collect();
    assert_eq!(world.not_taken(), lost);
    // A local network may be all that there is.
    for n in 12..32 {
        world.tell(at(n, 10, n));
    }
    assert_eq!(world.not_taken(), []);
    // A place that is free again is anybody's.
    world.want(2);
    world.tell(at(40, 11, 40));
    world.tell(at(41, 11, 41));
    world.tell(at(42, 11, 42));
    assert_eq!(world.not_taken(), [(42, A, Cause::SubnetFull)]);
    // What is not taken for another reason leaves its place as well.
    world.tell(Input::SetFilter(Some(Filter::new(|_| Err(OTHER)))));
    world.want(9);
    world.answer(2, None);
    world.tell(at(42, 11, 42));
    world.tell(at(43, 11, 43));
    assert_eq!(world.not_taken()[1..], [(43, A, Cause::SubnetFull)]);
    world.tell(Input::RemoveSource(A));
    assert!(world.machine.held.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However they come, of two that always have something each has half, and a third one has
    /// what it brings, up to a third.
    #[test]
    fn shares_are_fair_whoever_brings_more(
        rounds in proptest::collection::vec((2_u32..4, 2_u32..9, 0_u32..2, 0_usize..4), 1..12),
    ) {
        let mut world = World::new(&[A, B, C]);
        let mut next = 0;
        let mut shares: BTreeMap<Source, usize> = BTreeMap::new();
        let mut brought = 0;
        world.find(A, 90..95);
        world.find(B, 95..100);
        for (a, b, c, wanted) in rounds {
            for (source, count) in [(A, a), (B, b), (C, c)] {
                let nodes: Vec<u32> = (next..next + count).map(|n| n % 90).collect();
                next += count;
                if source == C {
                    brought += nodes.len();
                }
                for n in nodes {
                    // A window ago it was somebody else.
                    world.machine.handed.remove(&id(n));
                    if !world.machine.held.contains_key(&id(n)) {
                        world.find(source, [n]);
                    }
                }
            }
            world.want(wanted);
            let taken = world.taken();
            // None waits that is wanted.
            prop_assert_eq!(taken.len(), wanted);
            for (_, source) in taken {
                *shares.entry(source).or_default() += 1;
            }
            let share = |source| shares.get(&source).copied().unwrap_or(0);
            prop_assert!(share(A).abs_diff(share(B)) <= 1, "{:?}", shares);
            prop_assert!(share(C) <= brought && share(C) <= share(A) + 1, "{:?}", shares);
        }
    }
}

#[test]
fn a_node_of_two_sources_or_found_twice_comes_once_within_the_window() {
    let mut world = World::new(&[A, B]);
    // While it waits.
    world.find(A, [1]);
    world.find(B, [1]);
    world.find(A, [1]);
    let of_a = Cause::Duplicate { of: A };
    assert_eq!(world.not_taken(), [(1, B, of_a), (1, A, of_a)]);
    world.want(10);
    // When it was taken.
    world.find(B, [1]);
    assert_eq!((world.taken(), world.not_taken()), (vec![(1, A)], vec![(1, B, of_a)]));
    world.pass(WINDOW - seconds(1));
    world.find(B, [1]);
    assert_eq!((world.taken(), world.not_taken()), (vec![], vec![(1, B, of_a)]));
    world.pass(seconds(1));
    world.find(B, [1]);
    assert_eq!((world.taken(), world.not_taken()), (vec![(1, B)], vec![]));
}

#[test]
fn a_node_that_the_taker_skips_may_come_again_at_once() {
    let mut world = World::new(&[A, B]);
    world.want(10);
    world.find(A, [1]);
    world.tell(Input::Skipped { id: id(1), source: A, why: BUSY });
    assert_eq!(world.not_taken(), [(1, A, Cause::Skipped(BUSY))]);
    assert_eq!(world.why(1), Some(Cause::Skipped(BUSY)));
    world.find(B, [1]);
    assert_eq!(world.taken(), [(1, A), (1, B)]);
    assert_eq!(world.why(1), None);
}

#[test]
fn one_candidate_is_handed_over_for_each_word_of_the_taker() {
    let mut machine = Candidates::<Why>::new(WINDOW);
    let now = Now::default();
    machine.handle_input(now, Input::AddSource(A));
    machine.handle_input(now, Input::Want { count: 5 });
    for n in 0..3 {
        machine.handle_input(now, Input::Found { node: bare(n), source: A });
    }
    let outputs = |machine: &mut Candidates<Why>| -> Vec<Output<Why>> {
        std::iter::from_fn(|| machine.poll_output()).collect()
    };
    let candidate = |n| Output::Candidate { node: bare(n), source: A };
    let want = |count| Output::Want { source: A, count };
    assert_eq!(outputs(&mut machine), [want(5), candidate(0)]);
    machine.handle_input(now, Input::Want { count: 5 });
    assert_eq!(outputs(&mut machine), [candidate(1)]);
    machine.handle_input(now, Input::Want { count: 4 });
    assert_eq!(outputs(&mut machine), [candidate(2)]);
    // The source hears of it when nothing more can be handed over.
    machine.handle_input(now, Input::Want { count: 3 });
    assert_eq!(outputs(&mut machine), [want(3)]);
    // That is said again after each node, also if it has not changed.
    machine.handle_input(now, Input::Found { node: bare(0), source: A });
    let twice = Output::NotTaken { id: id(0), source: A, cause: Cause::Duplicate { of: A } };
    assert_eq!(outputs(&mut machine), [twice, want(3)]);
}

#[test]
fn sources_are_quiet_while_nothing_is_wanted_and_bring_no_more_than_is() {
    let mut world = World::new(&[A, B]);
    let told = |world: &World| [A, B].map(|source| world.told.get(&source).copied());
    assert_eq!(told(&world), [None, None]);
    world.find(A, [1]);
    assert_eq!(told(&world), [Some(0), None]);
    world.want(3);
    assert_eq!(told(&world), [Some(2), Some(2)]);
    world.want(100);
    assert_eq!(told(&world), [Some(32), Some(32)]);
    world.pass(seconds(30));
    world.want(0);
    assert_eq!(told(&world), [Some(0), Some(0)]);
}

#[test]
fn a_source_that_always_has_something_does_not_keep_another_from_being_asked() {
    let mut world = World::new(&[A, B]);
    world.find(B, 50..80);
    let mut next = 0;
    for _ in 0..10 {
        // Satisfied at once, each time.
        world.want(1);
        // A looks for nodes as long as it is told to, a while later.
        world.pass(seconds(1));
        if world.told.get(&A).is_some_and(|told| *told > 0) {
            world.find(A, [next]);
            next += 1;
        }
    }
    let of = |source| world.taken.iter().filter(|(_, by)| *by == source).count();
    assert_eq!((of(A), of(B)), (5, 5));
    assert_eq!(world.told[&A], 0);
    // The same where its nodes have to be asked first.
    let mut world = World::new(&[A, B]);
    world.tell(only(1));
    for n in 50..60 {
        world.tell(Input::Found { node: of_net(n, 1, None).into(), source: B });
    }
    world.find(A, 0..9);
    world.want(1);
    assert_eq!((world.taken(), world.asked().len()), (vec![(50, B)], 8));
    world.answer(3, None);
    assert_eq!(world.asked(), [8]);
    world.answer(8, Some(of_net(8, 1, None)));
    world.want(1);
    assert_eq!(world.taken(), [(8, A)]);
}

#[test]
fn a_source_that_is_behind_and_finds_nothing_is_quiet_in_the_end() {
    let mut world = World::new(&[A, B]);
    world.want(1);
    world.find(B, [50]);
    assert_eq!((world.taken.len(), world.told[&A], world.told[&B]), (1, 1, 0));
    let end = world.now.mono + seconds(30);
    assert_eq!(world.machine.poll_timeout(), Some(end));
    world.pass(seconds(30));
    assert_eq!((world.told[&A], world.machine.poll_timeout()), (0, None));
    // One that had something when another had its turn is not behind.
    world.find(A, [1]);
    world.find(B, [51]);
    world.want(2);
    assert_eq!((world.taken.len(), world.told[&A], world.told[&B]), (3, 1, 0));
}

#[test]
fn a_source_that_comes_later_has_its_turns_and_leaves_nothing_behind() {
    let mut world = World::new(&[A]);
    world.find(C, [1]);
    assert_eq!(world.not_taken(), [(1, C, Cause::SourceGone)]);
    world.want(2);
    assert_eq!(world.told.get(&C), None);
    world.tell(Input::AddSource(C));
    assert_eq!(world.told.get(&C), Some(&2));
    world.find(C, 1..6);
    assert_eq!(world.taken(), [(1, C), (2, C)]);
    // It is there: nothing changes.
    world.tell(Input::AddSource(C));
    assert_eq!(world.why(3), Some(Cause::Waiting));
    world.tell(Input::RemoveSource(C));
    assert_eq!(world.not_taken(), [3, 4, 5].map(|n| (n, C, Cause::SourceGone)));
    world.want(9);
    assert_eq!((world.taken(), world.why(3)), (vec![], Some(Cause::SourceGone)));
    // Another one may find them now.
    world.find(A, [3]);
    assert_eq!(world.taken(), [(3, A)]);
}

#[test]
fn a_node_of_another_network_is_not_taken_and_its_cause_can_be_asked_for() {
    let mut world = World::new(&[A]);
    world.tell(only(1));
    world.want(9);
    for (n, net) in [(1, 1), (2, 2)] {
        world.tell(Input::Found { node: of_net(n, net, Some(public(n))).into(), source: A });
    }
    assert_eq!(world.taken(), [(1, A)]);
    assert_eq!(world.not_taken(), [(2, A, Cause::Unfit(OTHER))]);
    let why = world.machine.why(world.now.mono, &id(2)).unwrap();
    assert_eq!((why.source, why.cause, why.at), (A, Cause::Unfit(OTHER), world.now.mono));
    assert_eq!((world.why(1), world.why(3)), (None, None));
    assert_eq!(world.asked(), []);
}

#[test]
fn a_node_without_a_record_is_asked_for_it_first_if_there_is_a_filter() {
    let mut world = World::new(&[A]);
    world.want(9);
    world.find(A, [9]);
    assert_eq!((world.taken(), world.asked()), (vec![(9, A)], vec![]));
    world.tell(only(1));
    world.find(A, 1..5);
    assert_eq!((world.taken(), world.asked()), (vec![], vec![1, 2, 3, 4]));
    world.answer(3, Some(of_net(3, 1, None)));
    world.answer(1, Some(of_net(1, 2, None)));
    world.answer(2, None);
    // Not its own: the node gave none.
    world.answer(4, Some(of_net(5, 1, None)));
    assert_eq!(world.taken(), [(3, A)]);
    let none = |n| (n, A, Cause::NoRecord);
    assert_eq!(world.not_taken(), [(1, A, Cause::Unfit(OTHER)), none(2), none(4)]);
    // Nobody waits for these.
    world.answer(3, Some(of_net(3, 1, None)));
    world.answer(7, Some(of_net(7, 1, None)));
    assert_eq!((world.taken(), world.not_taken()), (vec![], vec![]));
}

#[test]
fn what_a_record_says_of_its_node_counts_if_it_says_where_and_may() {
    let elsewhere = SocketAddr::from(([11, 9, 9, 9], 1));
    let loopback = SocketAddr::from(([127, 0, 0, 1], 1));
    let cases = [
        (bare(1), None, Some(public(1))),
        (bare(1), Some(elsewhere), Some(elsewhere)),
        // Our own network is not for it to name.
        (bare(1), Some(lan(7)), Some(public(1))),
        (bare(1), Some(loopback), Some(public(1))),
        (Node::from_endpoint(*secret(1).public(), lan(1), None), Some(lan(7)), Some(lan(7))),
        // One that takes datagrams only.
        (Node::new(*secret(1).public()).with_udp_endpoint(public(1)), Some(lan(7)), None),
        (Node::new(*secret(1).public()).with_udp_endpoint(public(1)), None, None),
    ];
    for (node, stated, expected) in cases {
        let mut world = World::new(&[A]);
        world.tell(only(1));
        world.want(1);
        world.tell(Input::Found { node: node.clone(), source: A });
        let record = of_net(1, 1, stated);
        world.answer(1, Some(record.clone()));
        let taken = world.last.unwrap();
        assert_eq!(taken.record(), Some(&record));
        assert_eq!(taken.tcp_endpoints().first().copied(), expected, "{node:?} {stated:?}");
    }
}

#[test]
fn few_are_asked_at_once_none_for_nothing_and_a_lost_answer_is_given_up() {
    let mut world = World::new(&[A, B]);
    world.tell(only(1));
    world.find(A, 0..20);
    assert_eq!((world.asked(), world.machine.poll_timeout()), (vec![], None));
    world.want(1);
    assert_eq!(world.asked(), (0..8).collect::<Vec<_>>());
    // Those that wait come first, but they are not in the way of another source.
    assert_eq!((world.told[&A], world.told[&B]), (0, 1));
    world.find(B, [50]);
    assert_eq!(world.asked(), [50]);
    world.answer(5, None);
    assert_eq!(world.asked(), [8]);
    world.not_taken();
    assert_eq!(world.machine.poll_timeout(), Some(world.now.mono + seconds(10)));
    world.pass(seconds(10));
    let lost = [0, 1, 2, 3, 4, 6, 7, 8].map(|n| (n, A, Cause::NoRecord));
    assert_eq!(world.not_taken()[..8], lost);
    assert_eq!(world.asked(), (9..17).collect::<Vec<_>>());
    // Too late.
    world.answer(0, Some(of_net(0, 1, None)));
    assert_eq!(world.taken(), []);
    // Enough is there for what is wanted.
    world.answer(9, Some(of_net(9, 1, None)));
    world.answer(10, Some(of_net(10, 1, None)));
    assert_eq!((world.taken(), world.asked()), (vec![(9, A)], vec![]));
    world.want(1);
    assert_eq!((world.taken(), world.asked()), (vec![(10, A)], vec![]));
    world.want(1);
    assert_eq!(world.asked(), [17, 18]);
}

#[test]
fn what_a_node_answered_counts_for_a_while_and_for_nodes_without_a_record_only() {
    let mut world = World::new(&[A, B]);
    world.tell(only(1));
    world.want(9);
    world.find(A, [1, 2]);
    world.answer(1, None);
    world.answer(2, Some(of_net(2, 2, None)));
    assert_eq!(world.asked(), [1, 2]);
    world.not_taken();
    world.pass(seconds(299));
    world.find(B, [1, 2]);
    assert_eq!((world.asked(), world.taken()), (vec![], vec![]));
    let again = [(1, B, Cause::NoRecord), (2, B, Cause::Unfit(OTHER))];
    assert_eq!(world.not_taken(), again);
    // One that another source has the record of is as good as any.
    world.tell(Input::Found { node: of_net(1, 1, Some(public(1))).into(), source: B });
    assert_eq!(world.taken(), [(1, B)]);
    world.pass(seconds(1));
    world.find(A, [2]);
    assert_eq!(world.asked(), [2]);
    world.answer(2, None);
    // Another filter may think otherwise.
    world.pass(seconds(1));
    world.tell(only(2));
    world.find(A, [2]);
    assert_eq!(world.asked(), [2]);
}

#[test]
fn another_filter_holds_for_those_that_wait_too() {
    let mut world = World::new(&[A]);
    world.tell(Input::Found { node: of_net(1, 1, Some(public(1))).into(), source: A });
    world.tell(Input::Found { node: of_net(2, 2, Some(public(2))).into(), source: A });
    world.find(A, [3, 4]);
    world.tell(only(1));
    assert_eq!(world.not_taken(), [(2, A, Cause::Unfit(OTHER))]);
    world.want(1);
    assert_eq!((world.taken(), world.asked()), (vec![(1, A)], vec![]));
    world.want(1);
    assert_eq!(world.asked(), [3, 4]);
    // Whose answers are judged as it is then.
    world.tell(Input::SetFilter(None));
    world.answer(3, None);
    assert_eq!(world.taken(), [(3, A)]);
    world.tell(only(2));
    world.answer(4, Some(of_net(4, 1, None)));
    assert_eq!(world.not_taken(), [(4, A, Cause::Unfit(OTHER))]);
}

#[test]
fn causes_are_remembered_for_an_hour_and_so_many() {
    let mut world = World::new(&[A]);
    world.tell(Input::Skipped { id: id(1), source: A, why: BUSY });
    world.pass(seconds(3_599));
    assert_eq!(world.why(1), Some(Cause::Skipped(BUSY)));
    world.pass(seconds(1));
    assert_eq!(world.why(1), None);
    let key = |n: u32| NodeId([&n.to_be_bytes()[..], &[0; 28]].concat().try_into().unwrap());
    for n in 0..5_000 {
        let skipped = Input::Skipped { id: key(n), source: A, why: BUSY };
        world.machine.handle_input(world.now, skipped);
        while world.machine.poll_output().is_some() {}
        let (held, bound) = (world.machine.memory(), Candidates::<Why>::memory_bound(1));
        assert!(held <= bound, "{held} bytes of {bound}");
    }
    let why = |n| world.machine.why(world.now.mono, &key(n)).is_some();
    assert_eq!((why(903), why(904), why(4_999)), (false, true, true));
}

#[test]
fn nothing_is_held_of_what_was_taken_but_for_the_window() {
    let mut world = World::new(&[A]);
    world.want(50);
    world.find(A, 0..50);
    assert_eq!(world.taken().len(), 50);
    assert!(world.machine.held.is_empty() && world.machine.causes.is_empty());
    let counts = world.machine.sources().next().unwrap().1;
    assert_eq!((counts.found, counts.handed, counts.waiting), (50, 50, 0));
    world.pass(WINDOW);
    world.tell(Input::Want { count: 0 });
    assert!(world.machine.handed.is_empty());
}
