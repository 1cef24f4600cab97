//! The `segue` binary: hands the arguments over and returns the exit code.

fn main() -> std::process::ExitCode {
    segue::cli::run()
}
