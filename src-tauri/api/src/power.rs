//! What a device says of its battery.

use crate::answer::text;
use crate::message::{ListEntitiesSensor, SensorState};

/// The most sensors that are looked at.
pub(crate) const MOST_SENSORS: usize = 16;

/// What a sensor measures, by its device class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PowerKind {
    /// `battery`: how full it is, in percent.
    Battery,
    /// `voltage`.
    Voltage,
}

/// A sensor's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What it measures.
    pub kind: PowerKind,
    /// The sensor's name; a sensor may have none.
    pub name: Option<String>,
    /// The unit of the value.
    pub unit: Option<String>,
    /// The value: a finite number.
    pub value: f32,
}

/// The sensors of a device that are looked at.
#[derive(Debug, Default)]
pub(crate) struct Sensors(Vec<Sensor>);

#[derive(Debug)]
struct Sensor {
    /// Two parts of one device may have sensors of the same key.
    id: (u32, u32),
    kind: PowerKind,
    name: Option<String>,
    unit: Option<String>,
    value: Option<f32>,
}

impl Sensors {
    /// Remembers a sensor, if it is one of those.
    pub(crate) fn note(&mut self, listed: &ListEntitiesSensor) {
        let kind = match listed.device_class.as_slice() {
            b"battery" => PowerKind::Battery,
            b"voltage" => PowerKind::Voltage,
            _ => return,
        };
        let id = (listed.key, listed.device_id);
        if self.0.len() < MOST_SENSORS && self.0.iter().all(|known| known.id != id) {
            let (name, unit) = (text(&listed.name), text(&listed.unit_of_measurement));
            self.0.push(Sensor { id, kind, name, unit, value: None });
        }
    }

    /// Takes a value, if it is one of those sensors; the latest counts.
    pub(crate) fn take(&mut self, state: &SensorState) {
        let id = (state.key, state.device_id);
        let sensor = self.0.iter_mut().find(|sensor| sensor.id == id);
        if let Some(sensor) = sensor
            && !state.missing_state
            && state.state.is_finite()
        {
            sensor.value = Some(state.state);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all have said something.
    pub(crate) fn complete(&self) -> bool {
        self.0.iter().all(|sensor| sensor.value.is_some())
    }

    pub(crate) fn readings(self) -> Vec<Reading> {
        let reading = |sensor: Sensor| {
            let Sensor { kind, name, unit, value, .. } = sensor;
            value.map(|value| Reading { kind, name, unit, value })
        };
        self.0.into_iter().filter_map(reading).collect()
    }
}
