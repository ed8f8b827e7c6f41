//! Converts a message to AMQP and back.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::bus::{BusError, Delivery, Message};

/// AMQP's delivery mode "persistent".
const PERSISTENT: u8 = 2;
/// AMQP's delivery mode "transient".
const TRANSIENT: u8 = 1;

/// Names in AMQP have at most 255 bytes. (lapin panics on longer ones when they are converted by
/// `into`.)
pub(super) fn short(text: &str) -> Result<ShortString, BusError> {
    ShortString::try_new(text).map_err(|_| {
        BusError::Refused(format!("a name of {} bytes is too long", text.len()).into())
    })
}

/// Everything of the message but its body.
pub(super) fn properties(message: &Message) -> Result<BasicProperties, BusError> {
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert(short(name)?, AMQPValue::LongString(value.as_str().into()));
    }
    Ok(BasicProperties::default()
        .with_message_id(short(&message.id)?)
        .with_type(short(&message.kind)?)
        .with_headers(headers)
        .with_content_type(short("application/json")?)
        .with_delivery_mode(if message.is_persistent { PERSISTENT } else { TRANSIENT }))
}

/// What arrived. Headers that are not text, such as those that brokers add, are left out.
pub(super) fn open(delivery: lapin::message::Delivery) -> Delivery {
    let properties = delivery.properties;
    let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
    let headers = properties.headers().iter().flat_map(FieldTable::inner);
    Delivery {
        message: Message {
            id: text(properties.message_id()).unwrap_or_default(),
            kind: text(properties.kind()).unwrap_or_default(),
            headers: headers
                .filter_map(|(name, value)| Some((name.to_string(), text_of(value)?)))
                .collect(),
            body: Bytes::from(delivery.data),
            is_persistent: *properties.delivery_mode() == Some(PERSISTENT),
        },
        routing_key: delivery.routing_key.to_string(),
        is_redelivered: delivery.redelivered,
        tag: delivery.delivery_tag,
    }
}

fn text_of(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}
