//! The messages of the published protocol that are used here, with the fields that are used. What
//! is declared as bytes is text: a device may cut a name within a character.

use prost::Message;

use crate::error::Violation;

/// The types of messages, as they stand before each of them.
pub(crate) mod kind {
    pub(crate) const HELLO_REQUEST: u16 = 1;
    pub(crate) const HELLO_RESPONSE: u32 = 2;
    pub(crate) const AUTHENTICATION_REQUEST: u16 = 3;
    pub(crate) const DISCONNECT_REQUEST: u16 = 5;
    pub(crate) const DISCONNECT_RESPONSE: u16 = 6;
    pub(crate) const PING_REQUEST: u32 = 7;
    pub(crate) const PING_RESPONSE: u16 = 8;
    /// The client's own question has the type of the device's.
    pub(crate) const PING: u16 = PING_REQUEST as u16;
    pub(crate) const DEVICE_INFO_REQUEST: u16 = 9;
    pub(crate) const DEVICE_INFO_RESPONSE: u32 = 10;
    pub(crate) const LIST_ENTITIES_REQUEST: u16 = 11;
    pub(crate) const LIST_ENTITIES_SENSOR: u32 = 16;
    pub(crate) const LIST_ENTITIES_DONE: u32 = 19;
    pub(crate) const SUBSCRIBE_STATES_REQUEST: u16 = 20;
    pub(crate) const SENSOR_STATE: u32 = 25;
    pub(crate) const SUBSCRIBE_LOGS_REQUEST: u16 = 28;
    pub(crate) const LOG_MESSAGE: u32 = 29;
    /// The device's own goodbye has the type of the client's.
    pub(crate) const DEVICE_DISCONNECTS: u32 = DISCONNECT_REQUEST as u32;
}

/// The version of the protocol that is spoken. A device with another major one is another protocol.
pub(crate) const VERSION: (u32, u32) = (1, 19);

/// It has a fourth field, `outgoing_connection_target`: who sets it is kept in the device's flash as
/// the client to dial, in Home Assistant's place. It isn't declared, so that it can't be set.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HelloRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_info: String,
    #[prost(uint32, tag = "2")]
    pub(crate) api_version_major: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) api_version_minor: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HelloResponse {
    #[prost(uint32, tag = "1")]
    pub(crate) api_version_major: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) api_version_minor: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DisconnectRequest {
    #[prost(uint32, tag = "1")]
    pub(crate) reason: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeviceInfoResponse {
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) mac_address: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) esphome_version: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) compilation_time: Vec<u8>,
    #[prost(bool, tag = "7")]
    pub(crate) has_deep_sleep: bool,
    #[prost(bytes = "vec", tag = "8")]
    pub(crate) project_name: Vec<u8>,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) project_version: Vec<u8>,
    #[prost(bytes = "vec", tag = "13")]
    pub(crate) friendly_name: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListEntitiesSensor {
    #[prost(fixed32, tag = "2")]
    pub(crate) key: u32,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) unit_of_measurement: Vec<u8>,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) device_class: Vec<u8>,
    #[prost(uint32, tag = "14")]
    pub(crate) device_id: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SensorState {
    #[prost(fixed32, tag = "1")]
    pub(crate) key: u32,
    #[prost(float, tag = "2")]
    pub(crate) state: f32,
    #[prost(bool, tag = "3")]
    pub(crate) missing_state: bool,
    #[prost(uint32, tag = "4")]
    pub(crate) device_id: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SubscribeLogsRequest {
    #[prost(uint32, tag = "1")]
    pub(crate) level: u32,
    #[prost(bool, tag = "2")]
    pub(crate) dump_config: bool,
}

/// The most detailed level of a log: all that the firmware has.
pub(crate) const WHATEVER_IT_HAS: u32 = 7;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LogMessage {
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) message: Vec<u8>,
}

/// Reads a message.
pub(crate) fn read<M: Message + Default>(body: &[u8]) -> Result<M, Violation> {
    M::decode(body).map_err(|_| Violation::BadMessage)
}
