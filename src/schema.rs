//! The types of `docs/report-schema.md` as JSON Schema knows them (draft 2020-12), for the fields of outputs that are
//! written as text or numbers of a certain form.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $schema:tt;)*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )* };
}

kinds! {
    /// An event time.
    Time = {
        "description": "RFC 3339 in UTC, with six or nine digits of a second; a stamp of a frame",
        "type": "string",
        "format": "date-time",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{6}|\d{9})Z$",
    };
    /// An address of a host.
    Ip = {
        "description": "an IP address; IPv6 in its short form",
        "type": "string",
        "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }],
    };
    /// A network.
    Net = { "description": "ADDRESS/LENGTH", "type": "string", "pattern": r"^[0-9a-f.:]+/\d{1,3}$" };
    /// An Ethernet address.
    MacText = { "type": "string", "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$" };
    /// The name of a connection.
    Uid = { "type": "string", "pattern": "^C[0-9A-Za-z]{17}$" };
    /// The name of an incident.
    IncidentName = { "type": "string", "pattern": "^i[0-9a-f]{16}$" };
    /// The Community ID, version 1.
    CommunityId = { "type": "string", "pattern": "^1:[0-9A-Za-z+/]{27}=$" };
    /// What was on the wire, escaped.
    WireText = {
        "description": r"text from the wire: a byte that cannot be shown is \xHH, a backslash is \\",
        "type": "string",
    };
    /// Decibans.
    Decibans = { "description": "10 times the decimal logarithm of odds", "type": "number" };
    /// A frame.
    FrameNumber = { "description": "counted from 1 over all inputs", "type": "integer", "minimum": 0 };
    /// Numbers by name.
    Numbers = { "type": "object", "additionalProperties": { "type": "number" } };
    /// Counts by name.
    NamedCounts = { "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 } };
    /// A command and the code of its reply.
    CommandText = { "type": "string", "pattern": r"^\S+ (\d{3}|-)$" };
    /// An enhanced status (RFC 3463).
    StatusText = { "type": "string", "pattern": r"^\d{1,3}\.\d{1,3}\.\d{1,3}$" };
    /// XXH3-128.
    HashText = { "type": "string", "pattern": "^[0-9a-f]{32}$" };
    /// MITRE ATT&CK.
    Technique = { "type": "string", "pattern": r"^T\d{4}(\.\d{3})?$" };
}
