use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prorch::SqliteRepository;
use prorch::repository::{Definition, NewRun, Repository, RunId, Text, Timestamp, definition_key};

use crate::options::Options;

/// Names the file to the processes that are started here.
const FILE: &str = "PRORCH_BENCH_FILE";
/// How many callers keep a process saturated: there is always one that waits.
const CALLERS: u64 = 4;

/// Two processes that write all the time, and this one, which starts one run at a time.
pub(crate) fn share(options: &Options) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shared.db");
    let repository = SqliteRepository::open(&file)?;
    let alone = tally(writer(&file, options)?)?;
    println!("alone       {:>7.0} runs/s", alone.rate(options));
    let writers = [writer(&file, options)?, writer(&file, options)?];
    let waits = start_one_by_one(&repository, options)?;
    for tally in writers.map(tally) {
        let tally = tally?;
        println!("one of two  {:>7.0} runs/s, longest wait {:>6.1?}", tally.rate(options), tally.longest);
    }
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("the third   {:>7} runs, median wait {median:>6.1?}, longest {longest:>6.1?}", waits.len());
    Ok(())
}

/// What a saturated process tells at its end.
struct Tally {
    runs: u64,
    longest: Duration,
}

impl Tally {
    fn rate(&self, options: &Options) -> f64 {
        self.runs as f64 / options.seconds as f64
    }
}

/// Ends with whoever started it.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        // It has ended by itself, if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn writer(file: &Path, options: &Options) -> Result<Writer, Box<dyn Error>> {
    let mut program = Command::new(std::env::current_exe()?);
    let program = program.args(["saturate", "--seconds", &options.seconds.to_string()]).env(FILE, file);
    Ok(Writer(program.stdout(Stdio::piped()).spawn()?))
}

fn tally(mut writer: Writer) -> Result<Tally, Box<dyn Error>> {
    let output = std::io::read_to_string(writer.0.stdout.take().ok_or("no output")?)?;
    let mut numbers = output.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next().ok_or("a writer ended too early");
    Ok(Tally { runs: next()??, longest: Duration::from_micros(next()??) })
}

/// The waits of single starts, in order of their lengths.
fn start_one_by_one(
    repository: &SqliteRepository,
    options: &Options,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = Instant::now() + Duration::from_secs(options.seconds as u64);
    let mut waits = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        runtime.block_on(repository.save(vec![new_run()]))?;
        waits.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    waits.sort();
    Ok(waits)
}

/// The work of a saturated process.
pub(crate) fn saturate(options: &Options) -> Result<(), Box<dyn Error>> {
    let file = PathBuf::from(std::env::var_os(FILE).ok_or("`saturate` is started by `share`")?);
    let repository = SqliteRepository::open(file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let end = Instant::now() + Duration::from_secs(options.seconds as u64);
    let callers: Vec<_> = (0..CALLERS).map(|_| runtime.spawn(call(repository.clone(), end))).collect();
    let (mut runs, mut longest) = (0, Duration::ZERO);
    for caller in callers {
        let tally = runtime.block_on(caller)??;
        (runs, longest) = (runs + tally.runs, longest.max(tally.longest));
    }
    println!("{runs} {}", longest.as_micros());
    Ok(())
}

async fn call(repository: SqliteRepository, end: Instant) -> Result<Tally, prorch::repository::StoreError> {
    let mut tally = Tally { runs: 0, longest: Duration::ZERO };
    while Instant::now() < end {
        let began = Instant::now();
        repository.save(vec![new_run()]).await?;
        tally = Tally { runs: tally.runs + 1, longest: tally.longest.max(began.elapsed()) };
    }
    Ok(tally)
}

fn new_run() -> NewRun {
    let definition: Definition = definition_key("fulfilment", ["reserve", "charge", "ship"]);
    NewRun::new(
        RunId::from_uuid(uuid::Uuid::now_v7()),
        definition,
        Text::from("{}"),
        Timestamp::from_micros(0),
    )
}
