//! `peerage run`: a node that stays until it is told to go.

pub(crate) mod config;
pub(crate) mod report;
mod table;

use std::{collections::VecDeque, io, path::PathBuf, process, time::Duration};

use clap::Args;
use indicatif::MultiProgress;
use peerage::{Builder, Event, Events, Limits, NodeId, Server};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};

use self::{
    config::{ConfigError, Settings},
    report::Report,
};
use crate::{
    args::{Networks, Stray, TrustedId, UdpAt, Versions},
    echo::{self, Echoed},
    failure::Failure,
    key_file,
};

/// Messages that wait to be printed; when as many wait, the peers that send them wait too.
const WAITING_MESSAGES: usize = 1024;

/// How often the status line is drawn anew.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Signals within this time are one.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

/// Runs a node until SIGINT or SIGTERM.
///
/// It finds others by discovery over UDP, beginning with --bootnodes, and connects to those it
/// finds. Without --echo the node speaks no capability: it connects to anybody, and most nodes
/// leave it at once. SIGUSR1 prints the discovery table to standard error; with --json it is an
/// event.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  peerage run --data-dir ./node --listen 127.0.0.1:30303 --echo demo/1/4
  peerage run --bootnodes enode://…@203.0.113.7:30303 --echo demo/1/4
  peerage run --bootnode --listen 0.0.0.0:30303
  peerage run --config node.toml --json
  kill -USR1 PID

A settings file has the names of the flags; flags win:
  listen = \"0.0.0.0:30303\"
  bootnodes = [\"enr:-IS4Q…\", \"enode://…@203.0.113.8:30303\"]
  static = [\"enode://…@203.0.113.7:30303\"]
  max-peers = 20
  echo = [\"demo/1/4\"]

Events of --json, one per line on standard output:
  started (id, name, enode, enr, listen, discovery), peer_added (id, client, caps, shared, inbound, remote),
  peer_dropped (id, reason, reason_code, why, by_us, duration_ms), dial_failed (id, why, retry_ms),
  message (id, protocol, code, size), local_node (enode, enr, seq), lagged (missed), stopped,
  table (discovery, nodes of version, id, distance, endpoint, live, checks, failures, seq, known_ms, seen_ms,
  enode, enr) at SIGUSR1")]
pub(crate) struct Run {
    /// A TOML file of settings with the names of these flags.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[arg(hide = true, value_name = "NODE")]
    _stray: Option<Stray>,
}

impl Run {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut settings = self.settings;
        if let Some(path) = &self.config {
            settings = settings.or(Settings::load(path)?);
        }
        let progress = MultiProgress::new();
        settings.log.clone().unwrap_or_default().install(&progress);
        let report = Report::new(settings.json.unwrap_or(false), progress);
        Runtime::new().map_err(Failure::Runtime)?.block_on(serve(settings, report))
    }
}

async fn serve(settings: Settings, mut report: Report) -> Result<(), Failure> {
    // Before anything else, so that no signal finds us without a handler.
    let signals = Signals::new().map_err(Failure::Runtime)?;
    let asked = signal(SignalKind::user_defined1()).map_err(Failure::Runtime)?;
    let (echoed, messages) = mpsc::channel(WAITING_MESSAGES);
    let (server, events) = start(&settings, echoed).await?;
    let followed = follow(&server, events, signals, asked, messages, &mut report).await;
    // Ends at once after a signal; where output failed, the peers still get their goodbye.
    server.stop().await;
    followed?;
    report.stopped()?;
    Ok(())
}

/// A server as the settings have it, and everything that happens in it.
async fn start(
    settings: &Settings,
    echoed: mpsc::Sender<Echoed>,
) -> Result<(Server, Events), Failure> {
    let is_bootnode = settings.is_bootnode()?;
    let data_dir = settings.data_dir()?;
    let key_file = settings.key_file.clone().or_else(|| Some(data_dir.as_ref()?.join("nodekey")));
    let key = key_file::load_or_create(&key_file.ok_or(ConfigError::NoDataDir)?)?;

    let mut limits = Limits::default();
    limits.max_peers = settings.max_peers.unwrap_or(limits.max_peers);
    limits.dial_ratio = settings.dial_ratio.unwrap_or(limits.dial_ratio);
    let mut builder = Server::builder(key).limits(limits);
    builder = reach(builder, settings, is_bootnode);
    if let Some(folder) = data_dir {
        builder = builder.data_dir(folder);
    }
    if let Some(Networks(list)) = &settings.net_restrict {
        builder = builder.net_restrict(list.clone());
    }
    if let Some(name) = &settings.name {
        builder = builder.client_name(name.clone());
    }
    for TrustedId(id) in &settings.trusted {
        builder = builder.trusted_node(*id);
    }
    for spec in &settings.echo {
        builder = builder.protocol(echo::protocol(*spec, echoed.clone()));
    }
    for node in &settings.static_nodes {
        builder = builder.static_node(node.clone());
    }
    let events = builder.subscribe();
    Ok((builder.start().await?, events))
}

/// Where the server listens, and how it finds others.
fn reach(mut builder: Builder, settings: &Settings, is_bootnode: bool) -> Builder {
    if let Some(address) = settings.listen.unwrap_or_default().address() {
        builder = builder.listen(address);
    }
    for node in &settings.bootnodes {
        builder = builder.bootnode(node.clone());
    }
    if let Some(UdpAt(address)) = settings.discovery_listen {
        builder = builder.discovery_listen(address);
    }
    if is_bootnode {
        builder = builder.discovery_only();
    }
    if let Some(Versions(versions)) = &settings.discovery {
        builder = match versions[..] {
            [] => builder.no_discovery(),
            _ => builder.discovery_versions(versions.iter().copied()),
        };
    }
    for protocol in &settings.talk_echo {
        builder = builder.talk_handler(protocol.as_str(), async |talk| talk.request);
    }
    builder
}

/// Reports what happens until a signal has stopped the server.
async fn follow(
    server: &Server,
    mut events: Events,
    signals: Signals,
    mut asked: Signal,
    messages: mpsc::Receiver<Echoed>,
    report: &mut Report,
) -> Result<(), Failure> {
    report.started(server)?;
    let (stopping, mut is_stopping) = watch::channel(false);
    let mut stop = tokio::spawn(stop_at_signal(signals, server.clone(), stopping));
    let mut messages = Messages { queue: messages, put_aside: VecDeque::new() };
    let mut status = tokio::time::interval(STATUS_EVERY);
    loop {
        // Events before messages: a peer is shown before what it sends.
        tokio::select! {
            biased;
            Some(event) = events.next() => {
                if let Event::PeerDropped { id, .. } = &event {
                    for echoed in messages.take_from(*id) {
                        report.echoed(&echoed)?;
                    }
                }
                report.event(&event)?;
                report.tick(server);
            }
            // Whoever asks for the table gets it, also while the server stops.
            Some(()) = asked.recv() => report.table(table::of(server).await.as_deref())?,
            Ok(()) = is_stopping.changed() => report.stopping(),
            _ = status.tick() => report.tick(server),
            Some(echoed) = messages.next() => report.echoed(&echoed)?,
            _ = &mut stop => return Ok(()),
        }
    }
}

/// Waits for a signal, stops the server, and says through `stopping` when it begins to.
async fn stop_at_signal(mut signals: Signals, server: Server, stopping: watch::Sender<bool>) {
    signals.next().await;
    stopping.send_replace(true);
    let impatient = tokio::spawn(async move {
        // `timeout` sends a signal to the process and to its group: not somebody who asks twice.
        let twice = tokio::time::Instant::now() + ONE_SIGNAL;
        while let Ok(()) = tokio::time::timeout_at(twice, signals.next()).await {}
        signals.next().await;
        // Whoever asks twice does not want to wait: the code of a process that SIGINT ends.
        process::exit(130);
    });
    server.stop().await;
    impatient.abort();
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Echoed messages on their way to the report.
struct Messages {
    queue: mpsc::Receiver<Echoed>,
    /// Taken out of the queue while looking for those of one peer; at most as many as fit into it.
    put_aside: VecDeque<Echoed>,
}

impl Messages {
    async fn next(&mut self) -> Option<Echoed> {
        match self.put_aside.pop_front() {
            Some(echoed) => Some(echoed),
            None => self.queue.recv().await,
        }
    }

    /// Every message that `id` has sent so far, so that none is shown after its peer was dropped.
    fn take_from(&mut self, id: NodeId) -> VecDeque<Echoed> {
        while self.put_aside.len() < WAITING_MESSAGES
            && let Ok(echoed) = self.queue.try_recv()
        {
            self.put_aside.push_back(echoed);
        }
        let (taken, kept) = self.put_aside.drain(..).partition(|echoed| echoed.id == id);
        self.put_aside = kept;
        taken
    }
}
