use crate::tcp::{ConnId, SynSignature};
pub(super) fn uid(id: &ConnId) -> String {
    format!("C{:017}", id.ts.as_nanos() as u64 % 100_000_000_000_000_000)
}
pub(super) fn community_id(id: &ConnId) -> String {
    community_id::calculate_community_id(
        0,
        id.orig.host.ip(),
        id.resp.host.ip(),
        Some(id.orig.port),
        Some(id.resp.port),
        6,
        false,
    )
    .unwrap_or_default()
}
pub(super) fn p0f(_: &SynSignature) -> &'static str {
    "4:64+0:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0"
}
