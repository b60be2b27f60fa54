//! What [`V5`] answers to those who have a session.

use peerage_machine::Now;
use peerage_node::{Record, check_relay};

use super::{
    DropReason, MAX_PARTS, MAX_RECORDS, TalkId, V5,
    packet::{MAX_MESSAGE_SIZE, Message, RequestId},
    sessions::Remote,
    talk::MAX_TALK_RESPONSE,
};
use crate::{Entry, Output, base::Base};

/// The most bytes of records in one part of an answer: what is left beside the longest request id.
const MAX_RECORDS_SIZE: usize = MAX_MESSAGE_SIZE - 18;

impl V5 {
    /// Sends a response by the session that its request came by.
    pub(super) fn respond(&mut self, now: Now, base: &mut Base, remote: &Remote, text: &[u8]) {
        let random = &mut self.random;
        let sealed = self.sessions.seal(now.mono, remote, &self.own, random, text);
        if let Some((bytes, _)) = sealed {
            self.send(base, remote.addr, bytes);
        }
    }

    pub(super) fn on_find_node(
        &mut self,
        now: Now,
        base: &mut Base,
        remote: Remote,
        id: RequestId,
        distances: &[u16],
    ) {
        let records = self.nodes_at(base, &remote, distances);
        let parts = split(&records);
        let total = parts.len() as u64;
        for part in parts {
            let records = part.iter().map(Record::as_rlp).collect();
            let text = Message::Nodes { id, total, records }.encode();
            self.respond(now, base, &remote, &text);
        }
    }

    /// The records to tell `remote` of: ours for the distance 0, else those of live nodes at just
    /// these distances, or of any if none is live.
    ///
    /// # Security
    ///
    /// Exactly what was asked for: others ban whoever tells a record at another distance.
    fn nodes_at(&self, base: &Base, remote: &Remote, distances: &[u16]) -> Vec<Record> {
        let table = self.finder.table();
        let has_live = table.entries().any(Entry::is_live);
        let may_be_told = |entry: &&Entry| {
            (entry.is_live() || !has_live)
                && entry.id() != remote.id
                && check_relay(remote.addr.ip(), entry.endpoint().ip()).is_ok()
        };
        let at = |distance: &u16| -> Vec<Record> {
            match distance {
                0 => vec![base.own.current().clone()],
                distance => {
                    let entries = table.at_distance(*distance).filter(may_be_told);
                    entries.filter_map(|entry| entry.node().record().cloned()).collect()
                }
            }
        };
        distances.iter().flat_map(at).take(MAX_RECORDS).collect()
    }

    pub(super) fn on_talk_request(
        &mut self,
        now: Now,
        base: &mut Base,
        remote: Remote,
        id: RequestId,
        (protocol, request): (&[u8], &[u8]),
    ) -> Result<(), DropReason> {
        if !self.talks.has_handler(protocol) {
            let nothing = Message::TalkResponse { id, response: &[] };
            self.respond(now, base, &remote, &nothing.encode());
            return Ok(());
        }
        let time = self.config.reply_timeout;
        // Who is not answered asks again, or somebody else.
        let talk = self.talks.add(now.mono, time, remote, id).ok_or(DropReason::RateLimit)?;
        base.put(Output::TalkRequest {
            id: talk,
            from: remote.id,
            addr: remote.addr,
            protocol: protocol.to_vec(),
            request: request.to_vec(),
        });
        Ok(())
    }

    /// A handler has answered. An answer that is too long for a packet is none.
    pub(crate) fn on_talk_response(
        &mut self,
        now: Now,
        base: &mut Base,
        talk: TalkId,
        response: &[u8],
    ) {
        let Some((remote, id)) = self.talks.take(now.mono, talk) else { return };
        let response = if response.len() <= MAX_TALK_RESPONSE { response } else { &[] };
        self.respond(now, base, &remote, &Message::TalkResponse { id, response }.encode());
    }
}

/// The parts in which records are told: at least one, and no more than others take.
fn split(records: &[Record]) -> Vec<&[Record]> {
    let mut parts = Vec::new();
    let (mut begin, mut size) = (0, 0);
    for (at, record) in records.iter().enumerate() {
        let more = record.as_rlp().len();
        if size + more > MAX_RECORDS_SIZE {
            parts.push(&records[begin..at]);
            (begin, size) = (at, 0);
        }
        size += more;
    }
    parts.push(&records[begin..]);
    parts.truncate(usize::try_from(MAX_PARTS).unwrap_or(usize::MAX));
    parts
}

#[cfg(test)]
mod tests {
    use peerage_node::LocalRecord;

    use super::*;
    use crate::testing::{record, secret};

    fn large(n: u32) -> Record {
        let mut local = LocalRecord::new(secret(n), 0);
        // What is left of 300 bytes.
        local.set_attribute("x", [&[0xb8, 175][..], &[7; 175]].concat()).unwrap();
        let record = local.record().clone();
        assert!(record.as_rlp().len() > 290, "{}", record.as_rlp().len());
        record
    }

    #[test]
    fn records_of_any_size_fit_into_five_packets_of_which_one_is_always_sent() {
        let small: Vec<_> = (0..16).map(|n| record(&secret(n), 1, Some("8.8.8.8:1"))).collect();
        let large: Vec<_> = (0..16).map(large).collect();
        let sizes = |parts: &[&[Record]]| parts.iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&split(&[])), [0]);
        assert_eq!(sizes(&split(&small)), [8, 8]);
        assert_eq!(sizes(&split(&large)), [3, 3, 3, 3, 3]);
        for part in split(&large) {
            let id = RequestId::new(&[0xff; 8]).unwrap();
            let records = part.iter().map(Record::as_rlp).collect();
            let text = Message::Nodes { id, total: 5, records }.encode();
            assert!(text.len() <= MAX_MESSAGE_SIZE, "{}", text.len());
        }
    }
}
