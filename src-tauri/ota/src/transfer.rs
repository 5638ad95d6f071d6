//! The accounting of the image's transfer: how much may be sent, and what was acknowledged.

use std::ops::{Range, RangeInclusive};

use super::codec::ACK_BLOCK;
use super::error::Violation;

/// Image bytes that may be under way without an acknowledgement.
///
/// What a small device can take at once is TCP's business; this bounds what waits in buffers on
/// the way, so that progress means something. At 100 ms round trip it still allows 1.3 MB/s.
pub const WINDOW: usize = 16 * ACK_BLOCK;

/// Bytes at the end of the image that are held until completion is allowed, and until the device
/// can have everything before them. A device completes only with the very last byte; a whole Noise
/// frame keeps the hold independent of framing.
pub const HELD_TAIL: usize = 1024;

/// Image bytes that may lack an acknowledgement when the held tail leaves: a quarter of the image,
/// within these bounds. More than a small device's network has under way, so that it doesn't wait
/// for the tail; and what was lost with a connection before is known not to be the whole image.
const LACKING: RangeInclusive<usize> = 2 * ACK_BLOCK..=8 * ACK_BLOCK;

/// How much earlier completion is announced: an eighth of the image, within these bounds, which is
/// time enough to commit a record to disk without the transfer coming to a halt.
const NOTICE: RangeInclusive<usize> = ACK_BLOCK..=4 * ACK_BLOCK;

/// Unacknowledged image bytes at which completion is announced at the earliest. A device that
/// acknowledges no blocks (version 1 of the protocol) is judged by what is unsent.
pub const COMPLETION_NOTICE: usize = *LACKING.end() + *NOTICE.end();

/// Counts what was sent and acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    total: usize,
    sent: usize,
    blocks: usize,
    /// Protocol version 2: the device acknowledges blocks.
    acknowledged_by_block: bool,
    noticed: bool,
}

impl Transfer {
    pub(super) fn new(total: usize, acknowledged_by_block: bool) -> Self {
        Self { total, sent: 0, blocks: 0, acknowledged_by_block, noticed: false }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Bytes covered by acknowledgements.
    pub(super) fn acknowledged(&self) -> usize {
        self.total.min(self.blocks.saturating_mul(ACK_BLOCK))
    }

    /// Whether the last byte was handed to the transport.
    pub(super) fn all_sent(&self) -> bool {
        self.sent >= self.total
    }

    /// What may be sent now.
    pub(super) fn sendable(&self, completion_allowed: bool) -> Range<usize> {
        let held =
            if completion_allowed && self.lacking() <= self.may_lack() { 0 } else { HELD_TAIL };
        let mut end = self.total.saturating_sub(held);
        if self.acknowledged_by_block {
            end = end.min(self.acknowledged().saturating_add(WINDOW));
        }
        self.sent..end.max(self.sent)
    }

    pub(super) fn on_sent(&mut self, count: usize) {
        self.sent = self.total.min(self.sent.saturating_add(count));
    }

    /// Takes one block acknowledgement.
    pub(super) fn on_block(&mut self) -> Result<(), Violation> {
        let covered = self.total.min((self.blocks + 1).saturating_mul(ACK_BLOCK));
        let due = self.blocks < self.total.div_ceil(ACK_BLOCK) && covered <= self.sent;
        if !self.acknowledged_by_block || !due {
            return Err(Violation::TooManyBlocks);
        }
        self.blocks += 1;
        Ok(())
    }

    /// Checks that the device may say "received" now.
    pub(super) fn on_received(&self) -> Result<(), Violation> {
        if !self.all_sent() {
            return Err(Violation::EndedEarly);
        }
        if self.acknowledged_by_block && self.acknowledged() < self.total {
            return Err(Violation::TooFewBlocks);
        }
        Ok(())
    }

    /// True once, when the end of the image has come near.
    pub(super) fn take_notice(&mut self) -> bool {
        let notice = (self.total / 8).clamp(*NOTICE.start(), *NOTICE.end());
        let near = self.lacking() <= self.may_lack() + notice;
        near && !std::mem::replace(&mut self.noticed, near)
    }

    /// Bytes of which it isn't known that the device has them. Version 1 of the protocol
    /// acknowledges nothing: there it is those that have not left.
    fn lacking(&self) -> usize {
        self.total - if self.acknowledged_by_block { self.acknowledged() } else { self.sent }
    }

    /// How many bytes may lack an acknowledgement when the last ones leave.
    fn may_lack(&self) -> usize {
        (self.total / 4).clamp(*LACKING.start(), *LACKING.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_up_to_a_last_short_one() {
        let mut transfer = Transfer::new(2 * ACK_BLOCK + 1, true);
        assert_eq!(transfer.on_block(), Err(Violation::TooManyBlocks));
        transfer.on_sent(2 * ACK_BLOCK);
        assert_eq!(transfer.on_block(), Ok(()));
        assert_eq!(transfer.on_block(), Ok(()));
        assert_eq!(transfer.on_block(), Err(Violation::TooManyBlocks));
        assert_eq!(transfer.on_received(), Err(Violation::EndedEarly));
        transfer.on_sent(1);
        assert_eq!(transfer.on_received(), Err(Violation::TooFewBlocks));
        assert_eq!(transfer.on_block(), Ok(()));
        assert_eq!(transfer.acknowledged(), 2 * ACK_BLOCK + 1);
        assert_eq!(transfer.on_received(), Ok(()));
        assert_eq!(transfer.on_block(), Err(Violation::TooManyBlocks));
    }

    #[test]
    fn version_one_has_no_blocks_and_no_window() {
        let mut transfer = Transfer::new(10 * WINDOW, false);
        assert_eq!(transfer.sendable(true), 0..10 * WINDOW - HELD_TAIL);
        transfer.on_sent(10 * WINDOW - HELD_TAIL);
        assert_eq!(transfer.sendable(true).len(), HELD_TAIL);
        transfer.on_sent(HELD_TAIL);
        assert_eq!(transfer.on_block(), Err(Violation::TooManyBlocks));
        assert_eq!(transfer.on_received(), Ok(()));
    }

    #[test]
    fn the_tail_is_held_until_little_lacks_an_acknowledgement() {
        let total = 4 * WINDOW;
        let mut transfer = Transfer::new(total, true);
        let acknowledge_until = |transfer: &mut Transfer, lacking: usize| {
            while transfer.lacking() > lacking {
                transfer.on_sent(transfer.sendable(false).len());
                transfer.on_block().unwrap();
            }
        };
        assert_eq!(transfer.sendable(true), 0..WINDOW);
        acknowledge_until(&mut transfer, COMPLETION_NOTICE + ACK_BLOCK);
        assert!(!transfer.take_notice());
        acknowledge_until(&mut transfer, COMPLETION_NOTICE);
        assert!(transfer.take_notice());
        assert!(!transfer.take_notice());
        assert_eq!(transfer.sendable(true).end, total - HELD_TAIL, "the device can't have it");
        acknowledge_until(&mut transfer, *LACKING.end());
        assert_eq!(transfer.sendable(false).end, total - HELD_TAIL);
        assert_eq!(transfer.sendable(true).end, total);
    }

    #[test]
    fn of_a_small_image_no_more_than_a_quarter_may_lack() {
        for blocks in 8..64 {
            let mut transfer = Transfer::new(blocks * ACK_BLOCK, true);
            transfer.on_sent(blocks * ACK_BLOCK - HELD_TAIL);
            for _ in 0..blocks / 2 {
                assert!(!transfer.take_notice(), "{blocks}");
                assert!(transfer.sendable(true).is_empty(), "{blocks}");
                transfer.on_block().unwrap();
            }
            for _ in blocks / 2..blocks - 1 {
                transfer.on_block().unwrap();
            }
            assert!(transfer.take_notice());
            assert_eq!(transfer.sendable(true).len(), HELD_TAIL, "it doesn't wait for itself");
        }
    }

    #[test]
    fn without_acknowledgements_the_tail_is_announced_by_what_is_unsent() {
        let mut transfer = Transfer::new(4 * WINDOW, false);
        assert!(!transfer.take_notice());
        transfer.on_sent(4 * WINDOW - COMPLETION_NOTICE);
        assert!(transfer.take_notice());
        assert_eq!(transfer.sendable(false).end, 4 * WINDOW - HELD_TAIL);
        transfer.on_sent(COMPLETION_NOTICE - HELD_TAIL);
        assert_eq!(transfer.sendable(true).end, 4 * WINDOW);
    }

    #[test]
    fn an_image_smaller_than_the_tail_is_held_whole() {
        let transfer = Transfer::new(10, true);
        assert!(transfer.sendable(false).is_empty());
        assert_eq!(transfer.sendable(true), 0..10);
    }
}
