//! A protocol of one's own: `echo/1` answers every message with itself.

use peerage::{Event, Protocol, SecretKey, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let echo = Protocol::new("echo", 1, 1, |peer, mut channel| async move {
        while let Some(message) = channel.recv().await {
            println!("{} says {:?}", peer.id(), message.payload);
            channel.send(message.code, message.payload).await?;
        }
        Ok(())
    });
    let listening = Server::builder(SecretKey::from_bytes(&[1; 32])?)
        .protocol(echo)
        .listen("127.0.0.1:0".parse()?)
        .start()
        .await?;

    let ask = Protocol::new("echo", 1, 1, |_peer, mut channel| async move {
        channel.send(0, "hello").await?;
        println!("and hears {:?}", channel.recv().await);
        Ok(())
    });
    let dialing = Server::builder(SecretKey::from_bytes(&[2; 32])?)
        .protocol(ask)
        .static_node(listening.local_node())
        .start()
        .await?;

    let mut events = dialing.subscribe();
    while !matches!(events.next().await, None | Some(Event::PeerDropped { .. })) {}
    dialing.stop().await;
    listening.stop().await;
    Ok(())
}
