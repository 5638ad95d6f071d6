//! The accounting of the image's transfer: how much may be sent, and what was acknowledged.

use std::ops::Range;

use super::codec::ACK_BLOCK;
use super::error::Violation;

/// Image bytes that may be under way without an acknowledgement.
///
/// What a small device can take at once is TCP's business; this bounds what waits in buffers on
/// the way, so that progress means something. At 100 ms round trip it still allows 1.3 MB/s.
pub const WINDOW: usize = 16 * ACK_BLOCK;

/// Unsent image bytes at which completion is announced: about two seconds ahead on a slow link,
/// time enough to commit a record to disk without the transfer coming to a halt.
pub const COMPLETION_NOTICE: usize = 8 * ACK_BLOCK;

/// Bytes at the end of the image that are held until completion is allowed. A device completes
/// only with the very last byte; a whole Noise frame keeps the hold independent of framing.
pub const HELD_TAIL: usize = 1024;

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
        let held = if completion_allowed { 0 } else { HELD_TAIL };
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
        let near = self.total - self.sent <= COMPLETION_NOTICE;
        near && !std::mem::replace(&mut self.noticed, near)
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
        assert_eq!(transfer.sendable(true), 0..10 * WINDOW);
        transfer.on_sent(10 * WINDOW);
        assert_eq!(transfer.on_block(), Err(Violation::TooManyBlocks));
        assert_eq!(transfer.on_received(), Ok(()));
    }

    #[test]
    fn the_tail_is_held_and_announced_in_time() {
        let mut transfer = Transfer::new(4 * WINDOW, true);
        assert_eq!(transfer.sendable(false), 0..WINDOW);
        assert!(!transfer.take_notice());
        transfer.on_sent(4 * WINDOW - COMPLETION_NOTICE);
        assert!(transfer.take_notice());
        assert!(!transfer.take_notice());
        for _ in 0..4 * WINDOW / ACK_BLOCK - 8 {
            transfer.on_block().unwrap();
        }
        assert_eq!(transfer.sendable(false).end, 4 * WINDOW - HELD_TAIL);
        assert_eq!(transfer.sendable(true).end, 4 * WINDOW);
    }

    #[test]
    fn an_image_smaller_than_the_tail_is_held_whole() {
        let transfer = Transfer::new(10, true);
        assert!(transfer.sendable(false).is_empty());
        assert_eq!(transfer.sendable(true), 0..10);
    }
}
