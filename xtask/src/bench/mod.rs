//! `cargo xtask bench`: measurements that anybody can repeat.
//!
//! A figure in a page must come out of a command. Each benchmark compares two ways in turns on one machine and
//! in one run, because a figure alone says more about the machine than about us.

mod repository;
mod vdisk;
mod vdisk_read;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

/// Options of `cargo xtask bench`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The benchmark to run; without one they are listed
    name: Option<String>,
    /// Megabytes (MiB) of data to work on
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    mib: u32,
    /// How often each way is measured, after one round that only warms up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Only the rows that hold this text, where a benchmark has rows
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// A benchmark of the registry.
struct Benchmark {
    name: &'static str,
    what: &'static str,
    run: fn(&Bench<'_>) -> Result<()>,
}

/// Every benchmark; a new one is a file and a line here.
const BENCHMARKS: &[Benchmark] = &[repository::BENCHMARK, vdisk::BENCHMARK, vdisk_read::BENCHMARK];

/// What a benchmark gets to work with.
struct Bench<'a> {
    root: &'a Path,
    /// A folder of its own below the build folder.
    folder: PathBuf,
    mib: u32,
    rounds: u32,
    only: Option<&'a str>,
}

/// Lists the benchmarks or runs one.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let Some(name) = &options.name else {
        for benchmark in BENCHMARKS {
            println!("{:12} {}", benchmark.name, benchmark.what);
        }
        return Ok(true);
    };
    let Some(benchmark) = BENCHMARKS.iter().find(|benchmark| benchmark.name == name) else {
        bail!("there is no benchmark `{name}`; `cargo xtask bench` lists them");
    };
    let folder = crate::workspace::target_folder(root)?.join("bench").join(benchmark.name);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let Options { mib, rounds, .. } = *options;
    let bench = Bench { root, folder, mib, rounds, only: options.only.as_deref() };
    (benchmark.run)(&bench)?;
    Ok(true)
}

impl Bench<'_> {
    /// Runs two commands in turns and prints how fast each was and how they compare.
    fn compare(&self, ways: [(&str, &mut Command); 2]) -> Result<()> {
        let mut seconds = [Vec::new(), Vec::new()];
        let [(one, first), (other, second)] = ways;
        for round in 0..=self.rounds {
            let taken = [time(first)?, time(second)?];
            if round > 0 {
                seconds[0].push(taken[0]);
                seconds[1].push(taken[1]);
            }
        }
        let rates = seconds.map(|seconds| Rates::of(f64::from(self.mib), &seconds));
        println!(
            "{:12} {:>10} {:>10} {:>10}   MiB/s of {} rounds",
            "", "slowest", "median", "fastest", self.rounds
        );
        for (name, Rates { slowest, median, fastest }) in [one, other].into_iter().zip(&rates) {
            println!("{name:12} {slowest:10.0} {median:10.0} {fastest:10.0}");
        }
        println!("{one} is at {:.2} of {other}", rates[0].median / rates[1].median);
        Ok(())
    }
}

/// Cores, processor, memory and kernel.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores, {processor}, memory {memory}, Linux {}", kernel.trim())
}

/// Runs a command to its end without showing what it prints.
fn time(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let seconds = start.elapsed().as_secs_f64();
    if !status.with_context(|| format!("cannot run {command:?}"))?.success() {
        bail!("{command:?} failed");
    }
    Ok(seconds)
}

/// Speeds in MiB/s.
#[derive(Debug, PartialEq)]
struct Rates {
    slowest: f64,
    median: f64,
    fastest: f64,
}

impl Rates {
    /// From at least one time for so much data.
    fn of(mib: f64, seconds: &[f64]) -> Self {
        let mut rates: Vec<f64> = seconds.iter().map(|seconds| mib / seconds).collect();
        rates.sort_by(f64::total_cmp);
        let at = |index: usize| rates.get(index).copied().unwrap_or_default();
        Self { slowest: at(0), median: at(rates.len() / 2), fastest: at(rates.len().saturating_sub(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: Option<&str>) -> Options {
        Options { name: name.map(str::to_owned), mib: 1, rounds: 1, only: None }
    }

    #[test]
    fn rates_are_sorted_and_the_median_is_in_the_middle() {
        let rates = Rates::of(100.0, &[4.0, 1.0, 2.0]);

        assert_eq!(rates, Rates { slowest: 25.0, median: 50.0, fastest: 100.0 });
    }

    #[test]
    fn an_unknown_benchmark_is_an_error_that_says_where_the_known_ones_are() {
        let error = run(Path::new("."), &options(Some("none"))).unwrap_err();

        assert_eq!(error.to_string(), "there is no benchmark `none`; `cargo xtask bench` lists them");
        assert!(run(Path::new("."), &options(None)).unwrap());
    }

    #[test]
    fn a_way_that_fails_stops_the_comparison() {
        let bench = Bench { root: Path::new("."), folder: PathBuf::new(), mib: 1, rounds: 1, only: None };

        assert!(bench.compare([("a", &mut Command::new("true")), ("b", &mut Command::new("true"))]).is_ok());
        assert!(
            bench.compare([("a", &mut Command::new("true")), ("b", &mut Command::new("false"))]).is_err()
        );
    }
}
