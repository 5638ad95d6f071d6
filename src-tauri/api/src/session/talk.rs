//! What is done with each message.

use std::mem;

use super::{Session, State, Talk, Wish};
use crate::answer::Answer;
use crate::channel::Channel;
use crate::error::{ApiError, Step, Violation};
use crate::log;
use crate::message::{
    DeviceInfoResponse, DisconnectRequest, HelloResponse, ListEntitiesSensor, LogMessage,
    SensorState, SubscribeLogsRequest, VERSION, WHATEVER_IT_HAS, kind, read,
};
use crate::outcome::{Dismissal, Event, LogEnd, Outcome, Silence};
use crate::power::Sensors;
use crate::wire::Message;

/// More than this waits to be sent only to a device that asks and asks and reads no answer.
const MOST_WAITING: usize = 1024;

impl Session {
    /// Takes a message. What isn't known, or has no meaning now, is passed over.
    pub(super) fn on_message(&mut self, message: &Message, step: Step) -> Result<(), ApiError> {
        let violated = |violation| ApiError::violation(violation, step);
        let State::Talking(channel, _, talk) = &mut self.state else { return Ok(()) };
        match (message.kind, &mut *talk) {
            (kind::PING_REQUEST, _) if self.wire.len() > MOST_WAITING => {
                Err(violated(Violation::TooMuch))
            }
            (kind::PING_REQUEST, _) => channel.send(kind::PING_RESPONSE, &[], &mut self.wire),
            (kind::DEVICE_DISCONNECTS, _) => {
                let goodbye: DisconnectRequest = read(&message.body).map_err(violated)?;
                // The device waits for it before it sleeps.
                channel.send(kind::DISCONNECT_RESPONSE, &[], &mut self.wire)?;
                self.dismissed(Dismissal::of(goodbye.reason));
                Ok(())
            }
            (kind::HELLO_RESPONSE, Talk::Introduction) => {
                let hello: HelloResponse = read(&message.body).map_err(violated)?;
                match hello.api_version_major {
                    major if major == VERSION.0 => Ok(()),
                    other => Err(ApiError::UnsupportedVersion(other)),
                }
            }
            (kind::DEVICE_INFO_RESPONSE, Talk::Introduction) => {
                let info: DeviceInfoResponse = read(&message.body).map_err(violated)?;
                let answer = Answer::new(&info, channel.worth()).map_err(violated)?;
                self.answered(answer)
            }
            (kind::LIST_ENTITIES_SENSOR, Talk::Listing(_, sensors)) => {
                let listed: ListEntitiesSensor = read(&message.body).map_err(violated)?;
                sensors.note(&listed);
                Ok(())
            }
            (kind::LIST_ENTITIES_DONE, Talk::Listing(..)) => self.listed(),
            (kind::SENSOR_STATE, Talk::Readings(_, sensors)) => {
                let state: SensorState = read(&message.body).map_err(violated)?;
                sensors.take(&state);
                if sensors.complete() { self.conclude() } else { Ok(()) }
            }
            (kind::LOG_MESSAGE, Talk::Log(_)) => {
                let said: LogMessage = read(&message.body).map_err(violated)?;
                self.events.extend(log::lines(&said.message).into_iter().map(Event::Logged));
                Ok(())
            }
            (_, _) => Ok(()),
        }
    }

    fn answered(&mut self, answer: Answer) -> Result<(), ApiError> {
        self.events.push_back(Event::Answered(answer.clone()));
        let State::Talking(channel, _, talk) = &mut self.state else { return Ok(()) };
        match self.wish {
            Wish::Identity => {
                *talk = Talk::Listing(answer, Sensors::default());
                self.conclude()
            }
            Wish::Log => {
                *talk = Talk::Known(answer);
                Ok(())
            }
            Wish::Power => {
                *talk = Talk::Listing(answer, Sensors::default());
                // Firmware before ESPHome 2026.1 lists nothing before this; later ones ignore it.
                channel.send(kind::AUTHENTICATION_REQUEST, &[], &mut self.wire)?;
                channel.send(kind::LIST_ENTITIES_REQUEST, &[], &mut self.wire)
            }
        }
    }

    fn listed(&mut self) -> Result<(), ApiError> {
        let State::Talking(channel, _, talk) = &mut self.state else { return Ok(()) };
        match mem::replace(talk, Talk::Introduction) {
            Talk::Listing(answer, sensors) if !sensors.is_empty() => {
                *talk = Talk::Readings(answer, sensors);
                channel.send(kind::SUBSCRIBE_STATES_REQUEST, &[], &mut self.wire)
            }
            same @ (Talk::Introduction
            | Talk::Listing(..)
            | Talk::Readings(..)
            | Talk::Known(_)
            | Talk::Log(_)) => {
                *talk = same;
                self.conclude()
            }
        }
    }

    /// Subscribes to the log of a device that has answered.
    pub(super) fn subscribe(&mut self) -> Result<(), ApiError> {
        let State::Talking(channel, _, talk) = &mut self.state else { return Ok(()) };
        match mem::replace(talk, Talk::Introduction) {
            Talk::Known(answer) => {
                *talk = Talk::Log(answer);
                let request = SubscribeLogsRequest { level: WHATEVER_IT_HAS, dump_config: true };
                // Firmware before ESPHome 2026.1 says nothing before this; later ones ignore it.
                channel.send(kind::AUTHENTICATION_REQUEST, &[], &mut self.wire)?;
                let body = prost::Message::encode_to_vec(&request);
                channel.send(kind::SUBSCRIBE_LOGS_REQUEST, &body, &mut self.wire)
            }
            same @ (Talk::Introduction | Talk::Listing(..) | Talk::Readings(..) | Talk::Log(_)) => {
                *talk = same;
                Ok(())
            }
        }
    }

    /// All that was wanted is known.
    fn conclude(&mut self) -> Result<(), ApiError> {
        if let State::Talking(channel, ..) = &mut self.state {
            channel.send(kind::DISCONNECT_REQUEST, &[], &mut self.wire)?;
        }
        self.dismissed(Dismissal::GoesDown);
        Ok(())
    }

    /// The conversation is over.
    fn dismissed(&mut self, why: Dismissal) {
        self.state = State::Ended(match self.take_state() {
            State::Talking(Channel::Plain(_), _, Talk::Introduction) => Outcome::Dismissed(why),
            State::Talking(Channel::Noise(..), greeting, Talk::Introduction) => {
                Outcome::Greeted(greeting, Silence::Dismissed(why))
            }
            State::Talking(
                _,
                _,
                Talk::Listing(answer, sensors) | Talk::Readings(answer, sensors),
            ) => Outcome::Answered(answer, sensors.readings()),
            State::Talking(_, _, Talk::Known(answer) | Talk::Log(answer)) => {
                Outcome::Followed(answer, LogEnd::Dismissed(why))
            }
            State::Greeting(..) | State::KeyExchange(..) => Outcome::Dismissed(why),
            State::Ended(outcome) => outcome,
        });
    }
}
