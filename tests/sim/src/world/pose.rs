//! Hosts that say that they are another device, by mDNS. Their network hardware and their API tell who they are.

use std::time::Duration;

use wakeflash_core::gate::Limits;

use super::device::Pose;
use super::{Ev, Step, World};
use crate::plan::{Ms, Voice};

impl World<'_> {
    /// Another host takes a device's name and its MAC address, for so long.
    pub(super) fn is_posed_as(&mut self, device: usize, lasts: Ms) {
        let poser = (0..self.devices.len()).find(|other| {
            let it = &self.devices[*other];
            it.plan.stranger && it.plan.voice == Voice::Full && it.pose.is_none()
        });
        let Some(poser) = poser.filter(|_| !self.is_calm()) else { return };
        let it = &self.devices[device];
        if it.plan.stranger || it.plan.voice != Voice::Full {
            return;
        }
        let pose = Pose { of: device, name: it.firmware.name.clone(), mac: it.mac };
        if !self.can_be_told_from(&pose, poser) {
            return;
        }
        self.cover.struck("another host says that it is a device");
        self.devices[poser].pose = Some(pose);
        self.after(lasts, Ev::Over(super::faults::Over::Pose { poser }));
        self.speaks(poser);
        self.knock_where(poser);
    }

    /// Whether what the application knows, or can find out in time, tells the device from who says that it is. Whoever is
    /// first is believed.
    fn can_be_told_from(&self, pose: &Pose, poser: usize) -> bool {
        let (device, poser) = (&self.devices[pose.of], &self.devices[poser]);
        let apart = !(device.plan.repeater && poser.plan.repeater);
        let link = self.link_when_on(pose.of);
        let window = device.plan.rhythm.map(|rhythm| Duration::from_millis(rhythm.window));
        // Wakes that were seen in part make it shorter.
        let in_time = Limits::for_window(window).doubt / 2;
        let says_otherwise = poser
            .plan
            .api
            .is_some_and(|takes| Duration::from_millis(takes + 3 * poser.plan.rtt) < in_time);
        let house = self.house.as_ref();
        apart
            && device.mac == pose.mac
            && house.is_some_and(|house| {
                house.knows_by_hardware(&pose.name, pose.mac, link)
                    || (says_otherwise && house.knows_mac(&pose.name, pose.mac))
            })
    }

    /// Ends what nobody could see through any more.
    pub(super) fn end_perfect_poses(&mut self) {
        for poser in 0..self.devices.len() {
            let told = match &self.devices[poser].pose {
                Some(pose) => self.can_be_told_from(pose, poser),
                None => true,
            };
            if !told {
                self.devices[poser].pose = None;
            }
        }
    }

    pub(crate) fn is_posed(&self, device: usize) -> bool {
        self.devices.iter().any(|it| it.pose.as_ref().is_some_and(|pose| pose.of == device))
    }

    pub(super) fn pose_is_over(&mut self, poser: usize) -> Step {
        self.devices[poser].pose = None;
        Ok(())
    }
}
