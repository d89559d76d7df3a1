//! x
use crate::run::Outcome;
use crate::world::Vary;
pub(crate) fn markdown(outcomes: &[Outcome], _: &[Vary], explain: bool, out: &mut impl std::io::Write) -> std::io::Result<()> {
    for o in outcomes {
        if !o.is_right() || explain {
            writeln!(out, "{} seed {} {} right={} frames={} {:?}\n  forbidden {:?} verdicts {:?}", o.scenario, o.seed, o.vary, o.is_right(), o.frames, o.checked, o.forbidden, o.verdicts_wrong)?;
            for s in &o.story { writeln!(out, "    {s}")?; }
        }
    }
    Ok(())
}
pub(crate) fn json(_: &[Outcome]) -> serde_json::Value { serde_json::Value::Null }
