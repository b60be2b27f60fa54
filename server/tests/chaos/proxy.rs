//! A proxy that does to bytes and datagrams what bad networks do, with what it did counted.
//!
//! Not here: any claim about servers. Which fault happens when follows from a seed and from how the
//! bytes come.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use peerage_machine::Random;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::JoinSet,
};

/// What happens to what is forwarded. "One in n" is never for 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// What follows from chance.
    pub(crate) seed: u64,
    /// Each piece or datagram takes up to this long.
    pub(crate) delay: Duration,
    /// Pieces are cut to at most this many bytes; 0 is as they come.
    pub(crate) split: u64,
    /// One piece in so many stands still for `stall`.
    pub(crate) stall_in: u64,
    /// How long.
    pub(crate) stall: Duration,
    /// The stream is reset in the place of one piece in so many.
    pub(crate) reset_in: u64,
    /// From one piece in so many on, nothing more passes in its direction, and nobody is told.
    pub(crate) hole_in: u64,
    /// The end of the stream is passed on in the place of one piece in so many; the other direction
    /// goes on.
    pub(crate) finish_in: u64,
    /// One piece or datagram in so many has a byte changed.
    pub(crate) corrupt_in: u64,
    /// One datagram in so many is lost.
    pub(crate) lose_in: u64,
    /// One datagram in so many arrives twice.
    pub(crate) duplicate_in: u64,
}

/// What a proxy has done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) streams: AtomicU64,
    pub(crate) pieces: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) holes: AtomicU64,
    pub(crate) finishes: AtomicU64,
    pub(crate) corruptions: AtomicU64,
    pub(crate) datagrams: AtomicU64,
    pub(crate) losses: AtomicU64,
    pub(crate) duplicates: AtomicU64,
}

/// A proxy of streams. Ends, with all of its streams, when it is dropped.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    pub(crate) addr: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

struct Shared {
    faults: Faults,
    counts: Arc<Counts>,
    random: Mutex<Random>,
}

impl TcpProxy {
    /// Forwards from a port of the system's choice to `target`.
    pub(crate) async fn start(target: SocketAddr, faults: Faults) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let random = Mutex::new(Random::from_seed([faults.seed.to_le_bytes()[0]; 32]));
        let shared = Arc::new(Shared { faults, counts: counts.clone(), random });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((here, _)) = listener.accept().await {
                shared.counts.streams.fetch_add(1, Ordering::Relaxed);
                streams.spawn(forward(here, target, shared.clone()));
                while streams.try_join_next().is_some() {}
            }
        });
        Ok(Self { addr, counts, _tasks: tasks })
    }
}

async fn forward(here: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let Ok(there) = TcpStream::connect(target).await else { return };
    for stream in [&here, &there] {
        // Fails only for sockets that are gone.
        let _ = stream.set_nodelay(true);
    }
    let (read_here, write_here) = here.into_split();
    let (read_there, write_there) = there.into_split();
    let out = pump(read_here, write_there, &shared);
    let back = pump(read_there, write_here, &shared);
    tokio::pin!(out, back);
    // A reset of either direction is the end of both; the end of one is not.
    let (first, is_out) = tokio::select! {
        end = &mut out => (end, true),
        end = &mut back => (end, false),
    };
    if first.is_ok() {
        let _ = if is_out { back.await } else { out.await };
    }
}

/// Forwards one direction to its end. An error is a reset, ours or somebody else's.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) -> io::Result<()> {
    let faults = shared.faults;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let size = from.read(&mut buffer).await?;
        if size == 0 {
            return to.shutdown().await;
        }
        let mut rest = &mut buffer[..size];
        while !rest.is_empty() {
            let mut cut = rest.len() as u64;
            if faults.split > 0 {
                cut = cut.min(1 + shared.below(faults.split));
            }
            let (piece, tail) = rest.split_at_mut(usize::try_from(cut).unwrap());
            rest = tail;
            shared.counts.pieces.fetch_add(1, Ordering::Relaxed);
            shared.wait(faults.delay).await;
            if shared.one_in(faults.stall_in) {
                shared.counts.stalls.fetch_add(1, Ordering::Relaxed);
                shared.wait(faults.stall).await;
            }
            if shared.one_in(faults.reset_in) {
                shared.counts.resets.fetch_add(1, Ordering::Relaxed);
                from.as_ref().set_zero_linger()?;
                to.as_ref().set_zero_linger()?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if shared.one_in(faults.hole_in) {
                shared.counts.holes.fetch_add(1, Ordering::Relaxed);
                drain(from).await?;
                return to.shutdown().await;
            }
            if shared.one_in(faults.finish_in) {
                shared.counts.finishes.fetch_add(1, Ordering::Relaxed);
                to.shutdown().await?;
                return drain(from).await;
            }
            if shared.one_in(faults.corrupt_in) {
                shared.counts.corruptions.fetch_add(1, Ordering::Relaxed);
                let at = shared.below(piece.len() as u64);
                piece[usize::try_from(at).unwrap()] ^= 0x20;
            }
            to.write_all(piece).await?;
        }
    }
}

/// Reads and throws away what comes, to the end.
async fn drain(mut from: OwnedReadHalf) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(drop)
}

impl Shared {
    fn random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn below(&self, bound: u64) -> u64 {
        self.random().below(bound)
    }

    fn one_in(&self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    /// Takes up to `most`: that is the fault.
    async fn wait(&self, most: Duration) {
        if !most.is_zero() {
            let nanos = self.below(u64::try_from(most.as_nanos()).unwrap());
            tokio::time::sleep(Duration::from_nanos(nanos)).await;
        }
    }
}

/// A proxy of datagrams: whoever sends to it is seen at the target with a port of its own, as
/// behind a translator.
///
/// What a node says of its own address inside of a datagram goes through unchanged, so others that
/// are told of it go past the proxy.
#[derive(Debug)]
pub(crate) struct UdpProxy {
    pub(crate) addr: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

impl UdpProxy {
    /// Forwards from a port of the system's choice to `target`, and back.
    pub(crate) async fn start(target: SocketAddr, faults: Faults) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let addr = socket.local_addr()?;
        let counts = Arc::new(Counts::default());
        let random = Mutex::new(Random::from_seed([faults.seed.to_le_bytes()[0]; 32]));
        let shared = Arc::new(Shared { faults, counts: counts.clone(), random });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
            let mut back = JoinSet::new();
            let mut buffer = [0; 2_048];
            while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
                let upstream = match clients.get(&from) {
                    Some(upstream) => upstream.clone(),
                    None => {
                        let Ok(upstream) = UdpSocket::bind("127.0.0.1:0").await else { return };
                        let upstream = Arc::new(upstream);
                        clients.insert(from, upstream.clone());
                        let ways = (upstream.clone(), socket.clone());
                        back.spawn(pass_back(ways, from, shared.clone()));
                        upstream
                    }
                };
                pass(&shared, upstream, buffer[..size].to_vec(), target, &mut back);
            }
        });
        Ok(Self { addr, counts, _tasks: tasks })
    }
}

/// Passes what the target answers to a client.
async fn pass_back(
    (upstream, socket): (Arc<UdpSocket>, Arc<UdpSocket>),
    client: SocketAddr,
    shared: Arc<Shared>,
) {
    let mut buffer = [0; 2_048];
    let mut flying = JoinSet::new();
    while let Ok((size, _)) = upstream.recv_from(&mut buffer).await {
        pass(&shared, socket.clone(), buffer[..size].to_vec(), client, &mut flying);
        while flying.try_join_next().is_some() {}
    }
}

/// Passes a datagram, once, twice or never; each takes its own time, so they overtake each other.
fn pass(
    shared: &Arc<Shared>,
    socket: Arc<UdpSocket>,
    mut bytes: Vec<u8>,
    to: SocketAddr,
    flying: &mut JoinSet<()>,
) {
    let (faults, counts) = (shared.faults, &shared.counts);
    counts.datagrams.fetch_add(1, Ordering::Relaxed);
    if shared.one_in(faults.lose_in) {
        counts.losses.fetch_add(1, Ordering::Relaxed);
        return;
    }
    if shared.one_in(faults.corrupt_in) && !bytes.is_empty() {
        counts.corruptions.fetch_add(1, Ordering::Relaxed);
        let at = shared.below(bytes.len() as u64);
        bytes[usize::try_from(at).unwrap()] ^= 0x20;
    }
    let mut times = 1;
    if shared.one_in(faults.duplicate_in) {
        counts.duplicates.fetch_add(1, Ordering::Relaxed);
        times = 2;
    }
    for _ in 0..times {
        let (shared, socket, bytes) = (shared.clone(), socket.clone(), bytes.clone());
        flying.spawn(async move {
            shared.wait(shared.faults.delay).await;
            // A datagram that cannot be sent is one more that is lost.
            let _ = socket.send_to(&bytes, to).await;
        });
    }
}
