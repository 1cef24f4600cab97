//! `segue bundle activate`, `rollback` and `list`: what the admin routes of a running server do.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::config::Config;
use crate::load::{Client, Target};

/// Longest wait for a swap: a large bundle loads for minutes, and a long log is read for longer.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

/// Which server.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// Address of the server's admin routes
    #[arg(long, value_name = "HOST:PORT", default_value_t = Config::default().server.listen.to_string())]
    to: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct ActivateArgs {
    /// Name of its directory in the server's bundles.dir
    name: String,
    #[command(flatten)]
    server: Server,
    /// Serve it whatever the guardrail says, for this reason, which the server logs
    #[arg(long, value_name = "WHY")]
    override_reason: Option<String>,
    /// The whole report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    server: Server,
    /// The whole report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    server: Server,
}

pub(super) fn activate(args: &ActivateArgs) -> anyhow::Result<()> {
    // The server refuses what is no name; here it only must stay one part of the path.
    let name: String = args.name.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let body = match &args.override_reason {
        Some(reason) => json!({ "override_reason": reason }),
        None => json!({}),
    };
    let report = ask(&args.server, &format!("/admin/bundles/{name}/activate"), Some(&body))?;
    tell(&report, args.json)
}

pub(super) fn roll_back(args: &RollbackArgs) -> anyhow::Result<()> {
    let report = ask(&args.server, "/admin/bundles/rollback", Some(&json!({})))?;
    tell(&report, args.json)
}

pub(super) fn list(args: &ListArgs) -> anyhow::Result<()> {
    let bundles = ask(&args.server, "/admin/bundles", None)?;
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for one in bundles["available"].as_array().into_iter().flatten() {
        let mark = match &one["name"] {
            name if *name == bundles["serves"]["name"] => "served",
            name if *name == bundles["previous"] => "previous",
            _ => "",
        };
        println!("{:<10}{:<32}{:<32}{}", mark, text(&one["name"]), text(&one["version"]), text(&one["fault"]));
    }
    Ok(())
}

/// Says what a swap did.
fn tell(report: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let version = |which: &str| report[which]["version"].as_str().unwrap_or_default().to_owned();
    let state = if report["same_state"] == true { "the live state goes on" } else { "the live state was built anew" };
    println!("{} is served in place of {}; {state}; {} ms", version("to"), version("from"), report["took_ms"]);
    if let Some(turnover) = report["guardrail"]["turnover"].as_f64() {
        println!("{:.1} % of a list turns over, of {} requests", turnover * 100.0, report["guardrail"]["requests"]);
    }
    Ok(())
}

/// Asks a server: `GET`, or `POST` where there is a body.
fn ask(server: &Server, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let target: Target = server.to.parse()?;
    let client = Client::new(&target, 1, PATIENCE);
    let exchange = async {
        match body {
            Some(body) => client.post(path, body.to_string()).await,
            None => client.get(path).await,
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reply = tokio::task::LocalSet::new().block_on(&runtime, exchange);
    let reply = reply.with_context(|| format!("{target}: is a server there, and are these its admin routes?"))?;
    let said: Value = serde_json::from_slice(&reply.body)
        .with_context(|| format!("{target} answered {} and no JSON: is it segue?", reply.status))?;
    if reply.status != 200 {
        let detail = said["detail"].as_str().unwrap_or_default();
        bail!("{target} answered {}: {detail}", reply.status);
    }
    Ok(said)
}
