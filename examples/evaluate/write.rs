//! Scenarios as files: a capture and its labels.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;

use crate::Args;
use crate::world::{Expected, World};

/// Writes `NAME-SEED.pcap` and `NAME-SEED.json` for all that is meant, in the first variation.
pub(crate) fn all(folder: &Path, args: &Args) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for vary in &args.variations {
        for scenario in args.scenarios() {
            for seed in 1..=args.seeds {
                let world = scenario.world(seed, *vary);
                let variation = if vary.name == "base" {
                    String::new()
                } else {
                    format!("-{}", vary.name.replace([' ', ','], "_"))
                };
                let stem = folder.join(format!("{}{variation}-{seed}", scenario.name));
                let mut out = BufWriter::new(File::create(stem.with_extension("pcap"))?);
                world.tape.write(&mut out)?;
                out.flush()?;
                fs::write(stem.with_extension("json"), serde_json::to_vec_pretty(&labels(&world))?)?;
            }
        }
    }
    Ok(())
}

fn labels(world: &World) -> serde_json::Value {
    let labels: Vec<_> = world
        .truth
        .labels
        .iter()
        .map(|label| {
            let (what, tier) = match &label.expected {
                Expected::Incident(class, tier) => (class.name(), tier.name()),
                Expected::Evidence(family) => (family.name(), "evidence"),
            };
            json!({
                "host": world.shown(label.host).to_string(),
                "name": world.host(label.host).name,
                "class": what,
                "kind": label.kind,
                "tier": tier,
                "start_us": label.start,
            })
        })
        .collect();
    let homes: Vec<String> = world.site.home_nets.iter().map(ToString::to_string).collect();
    json!({
        "frames": world.tape.len(),
        "labels": labels,
        "home_nets": homes,
        "relay_domains": world.site.relay_domains,
        "server": world.shown(world.server).to_string(),
        "domain": world.domain,
    })
}
