//! ONNX Runtime itself: one environment a process, and the device that sessions run on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::InferenceError;
use super::library::Places;
use super::weights::SharedWeights;
use crate::config::{Device, InferenceConfig, OnMissingDevice};

/// A model of one `Identity`: running it proves that a device works.
const PROBE: &[u8] = include_bytes!("probe.onnx");

/// The environment of this process: ONNX Runtime allows one, ever.
static PROCESS: Mutex<Process> = Mutex::new(Process::New);

enum Process {
    New,
    Open(Environment, PathBuf),
    Closed,
}

/// ONNX Runtime, loaded, with the device that its sessions will run on. Cheap to clone; sessions keep what they need.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    device: Device,
    device_id: i32,
    library: Arc<Path>,
}

impl Runtime {
    /// Finds and loads the library (once a process) and tries the configured device.
    ///
    /// # Errors
    /// The library is missing or does not load; the device is missing and `on_missing_device` is `error`; or
    /// [`Runtime::close`] was called before.
    pub fn open(config: &InferenceConfig) -> Result<Self, InferenceError> {
        let library = Places::of_process(config.library.as_deref()).find()?;
        let (environment, library) = environment(library)?;
        let mut runtime =
            Self { environment, device: Device::Cpu, device_id: config.device_id, library: library.into() };
        match config.device {
            Device::Cpu => {}
            Device::Cuda => match (runtime.try_cuda(), config.on_missing_device) {
                (Ok(()), _) => runtime.device = Device::Cuda,
                (Err(why), OnMissingDevice::Cpu) => {
                    tracing::warn!(device_id = config.device_id, why, "no CUDA device, models run on the CPU");
                }
                (Err(why), OnMissingDevice::Error) => {
                    return Err(InferenceError::Runtime(format!(
                        "inference.device is cuda, but device {} does not work: {why}; set inference.device = \"cpu\" \
                         or inference.on_missing_device = \"cpu\"",
                        config.device_id
                    )));
                }
            },
        }
        Ok(runtime)
    }

    /// Gives the environment back to ONNX Runtime as soon as the last session is gone. The last thing that a process
    /// does with models: it cannot open the runtime again.
    pub fn close() {
        *PROCESS.lock().unwrap_or_else(PoisonError::into_inner) = Process::Closed;
    }

    /// The device that sessions run on, after any fallback.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The library that was loaded.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// A session over `model`: one thread (the lane's own), no spinning, memory pattern, all optimisations. On the CPU it
    /// takes `shared` in place of weights of its own.
    pub(super) fn session(&self, model: &[u8], shared: Option<&SharedWeights>) -> Result<Session, String> {
        self.commit(model, self.device, shared).map_err(|e| e.to_string())
    }

    fn commit(&self, model: &[u8], device: Device, shared: Option<&SharedWeights>) -> ort::Result<Session> {
        let builder = Session::builder(&self.environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(true)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_log_level(LogLevel::Warning)?;
        let mut builder: SessionBuilder = match device {
            Device::Cpu => match shared {
                Some(shared) => shared.give(builder)?,
                None => builder,
            },
            Device::Cuda => {
                let cuda = CUDA::default().with_device_id(self.device_id).build().error_on_failure();
                builder.with_execution_providers([cuda])?
            }
        };
        builder.commit_from_memory(model)
    }

    fn try_cuda(&self) -> Result<(), String> {
        if !CUDA::is_available().map_err(|e| e.to_string())? {
            return Err(format!(
                "{} was built without it (the library of the onnxruntime-gpu package has it)",
                self.library.display()
            ));
        }
        self.commit(PROBE, Device::Cuda, None).map(|_| ()).map_err(|e| e.to_string())
    }
}

/// The environment of this process, made on the first call.
fn environment(library: PathBuf) -> Result<(Environment, PathBuf), InferenceError> {
    let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    match &*process {
        Process::Open(environment, loaded) => {
            if *loaded != library {
                tracing::warn!(loaded = %loaded.display(), asked = %library.display(), "ONNX Runtime is already loaded");
            }
            return Ok((environment.clone(), loaded.clone()));
        }
        Process::Closed => {
            return Err(InferenceError::Runtime(
                "ONNX Runtime was closed in this process and cannot open again".into(),
            ));
        }
        Process::New => {}
    }
    let environment = load(&library)
        .map_err(|why| InferenceError::Runtime(format!("{}: {why}; run scripts/setup again", library.display())))?;
    *process = Process::Open(environment.clone(), library.clone());
    Ok((environment, library))
}

fn load(library: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(library).map_err(|e| e.to_string())?;
    let environment = builder
        .with_name("segue")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|e| e.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// Passes ONNX Runtime's log on to `tracing`.
fn log(level: LogLevel, category: &str, id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, id, "{message}"),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, id, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, id, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "onnxruntime", category, id, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_an_error_or_the_cpu() {
        let cpu = Runtime::open(&InferenceConfig::default()).unwrap();
        assert_eq!(cpu.device(), Device::Cpu);
        assert!(cpu.session(PROBE, None).is_ok());
        let mut config = InferenceConfig { device: Device::Cuda, device_id: 99, ..InferenceConfig::default() };
        let message = Runtime::open(&config).unwrap_err().to_string();
        assert!(message.contains("on_missing_device") && message.contains("device 99"), "{message}");
        config.on_missing_device = OnMissingDevice::Cpu;
        assert_eq!(Runtime::open(&config).unwrap().device(), Device::Cpu);
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let config = InferenceConfig { library: Some("no/such/library.so".into()), ..InferenceConfig::default() };
        let message = Runtime::open(&config).unwrap_err().to_string();
        assert!(message.contains("no/such/library.so") && message.contains("scripts/setup"), "{message}");
    }
}
