//! A proxy that holds the dialing end's bytes from a given one on, until it lets them go.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// A proxy of streams. Ends, with all of its streams, when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) addr: SocketAddr,
    /// Whether a stream is held.
    pub(crate) held: watch::Receiver<bool>,
    /// Lets go what is held.
    pub(crate) release: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Hold {
    /// Forwards from a port of the system's choice to `target`. From the dialing end, nothing
    /// passes beyond `after` bytes behind the end of its first packet (before it, if negative).
    pub(crate) async fn start(target: SocketAddr, after: i64) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (hold, held) = watch::channel(false);
        let (release, released) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((here, _)) = listener.accept().await {
                streams.spawn(forward(here, target, after, hold.clone(), released.clone()));
            }
        });
        Ok(Self { addr, held, release, _tasks: tasks })
    }
}

/// Forwards a stream until both directions have ended. Fails if either is reset.
async fn forward(
    here: TcpStream,
    target: SocketAddr,
    after: i64,
    hold: watch::Sender<bool>,
    mut released: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let there = TcpStream::connect(target).await?;
    here.set_nodelay(true)?;
    there.set_nodelay(true)?;
    let (mut read_here, mut write_here) = here.into_split();
    let (mut read_there, mut write_there) = there.into_split();
    let out = async {
        // The first packet says in its first two bytes how long it is.
        let size = read_here.read_u16().await?;
        write_there.write_u16(size).await?;
        let before = u64::from(size).saturating_add_signed(after);
        copy(&mut (&mut read_here).take(before), &mut write_there).await?;
        hold.send_replace(true);
        // Ends too if nobody is left to let go.
        let _ = released.wait_for(|released| *released).await;
        copy(&mut read_here, &mut write_there).await?;
        write_there.shutdown().await
    };
    let back = async {
        copy(&mut read_there, &mut write_here).await?;
        write_here.shutdown().await
    };
    tokio::try_join!(out, back).map(drop)
}
