//! What becomes of what a node says of itself in its first ping.

use super::*;

#[test]
fn a_node_that_states_no_port_takes_connections_where_it_takes_datagrams() {
    // Stated UDP and TCP ports; the TCP port that others are told.
    for (udp, tcp, told) in [(0, 0, Some(40_001)), (40_001, 0, None), (0, 40_002, Some(40_002))] {
        let mut net = Net::new();
        let node = "127.0.0.1:30303".parse().unwrap();
        net.start(1, node, Vec::new());
        let tester = Tester::new(100, "127.0.0.1:40001".parse().unwrap());
        let Packet::Ping(mut ping) = tester.ping(node) else { panic!("a ping") };
        ping.from = Endpoint { ip: Some("0.0.0.0".parse().unwrap()), udp, tcp };
        tester.send(&mut net, node, &Packet::Ping(ping));
        let answers = tester.read(&mut net, READ_WAIT);
        let asked = answers.iter().find(|(it, _)| matches!(it, Packet::Ping(_))).unwrap();
        tester.send(&mut net, node, &tester.pong(node, asked.1));
        // It is in the table, and not yet out of it for leaving its first check unanswered.
        net.run(Duration::from_millis(1_200));
        let entry = net.v4(node).table().get(&tester.node().id()).unwrap();
        let ports: Vec<_> = entry.node().tcp_endpoints().iter().map(SocketAddr::port).collect();
        assert_eq!(ports, told.into_iter().collect::<Vec<_>>(), "{udp}, {tcp}");
    }
}
