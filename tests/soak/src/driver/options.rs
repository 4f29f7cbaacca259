//! What the driver is asked for.

use anyhow::{Context, Result, bail, ensure};

use super::faults::{ALL, Fault};

/// What `--help` says.
pub const HELP: &str = "\
Nodes in processes of their own read and write rows through real servers, faults come, and a checker holds every read
against what was written. Ends with 1 if it finds anything.

cargo xtask soak [--ops N] [--seed S] [--faults LIST] [--processes P]

--ops N         operations, at least; with faults it goes on until each has struck. Default: 100000
--seed S        what is asked, written, and struck follows from it, but for the scheduling. Default: drawn, and printed
--faults LIST   names with commas between them, `all`, or `none`. Default: none
--processes P   nodes, 2 to 16; they are whole, of another schema, of a projection, and plain writers, in turn. Default: 4
--mute          one node tells nobody of its writes, and says that it did: anomalies must be found
--deaf          one node hears of no other's writes, and answers from L1 nevertheless: anomalies must be found";

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Operations, at least.
    pub ops: u64,
    /// What is random follows from this.
    pub seed: u64,
    /// What strikes, in that order, again and again.
    pub(crate) faults: Vec<Fault>,
    /// Nodes.
    pub processes: usize,
    /// One node tells nobody of its writes, and says that it did.
    pub mute: bool,
    /// One node hears of no other's writes.
    pub deaf: bool,
}

impl Options {
    /// From words.
    ///
    /// # Errors
    /// When one isn't known, or can't be.
    pub fn parse(words: &[String]) -> Result<Options> {
        let mut options = Options {
            ops: 100_000,
            seed: fastrand::u64(..1 << 32),
            faults: Vec::new(),
            processes: 4,
            mute: false,
            deaf: false,
        };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--mute" => options.mute = true,
                "--deaf" => options.deaf = true,
                word => options.set(word, words.next())?,
            }
        }
        ensure!((2..=16).contains(&options.processes), "--processes: 2 to 16");
        Ok(options)
    }

    fn set(&mut self, word: &str, value: Option<&str>) -> Result<()> {
        let value = value.with_context(|| format!("{word} needs a value"));
        match word {
            "--ops" => self.ops = value?.parse().context("--ops: a number")?,
            "--seed" => self.seed = value?.parse().context("--seed: a number")?,
            "--processes" => self.processes = value?.parse().context("--processes: a number")?,
            "--faults" => self.faults = faults(value?)?,
            _ => bail!("no option `{word}`\n\n{HELP}"),
        }
        Ok(())
    }
}

fn faults(list: &str) -> Result<Vec<Fault>> {
    match list {
        "all" => Ok(ALL.to_vec()),
        "none" => Ok(Vec::new()),
        list => list.split(',').map(fault).collect(),
    }
}

fn fault(name: &str) -> Result<Fault> {
    let known = || ALL.iter().map(|fault| fault.name).collect::<Vec<_>>().join(", ");
    let found = ALL.iter().find(|fault| fault.name == name).copied();
    found.with_context(|| format!("no fault `{name}`: there are {}", known()))
}
