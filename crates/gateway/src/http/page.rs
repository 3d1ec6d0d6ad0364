//! The page at `/`: what this is, which one, and how to connect. No script, no secret, nothing from elsewhere.

use bytes::Bytes;
use hyper::StatusCode;

use super::Asked;
use super::reply::{Answer, whole};

const STYLE: &str = include_str!("page/page.css");

/// The page. Who asks may be anybody: it says nothing that the port does not say by itself, but for the name.
pub(super) fn root(asked: &Asked) -> Answer {
    let gateway = asked.gateway();
    let name = escaped(&gateway.instance.name);
    let (port, command) = (gateway.port, escaped(&gateway.instance.command()));
    let secret = gateway.force().access.method;
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>OpenClaw: {name}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <link rel=\"stylesheet\" href=\"/page.css\"></head>\n<body>\n\
         <h1>This is an OpenClaw gateway: instance <code>{name}</code></h1>\n\
         <p>A gateway for AI agents. It speaks the OpenClaw control protocol on this port.</p>\n\
         <h2>On this machine</h2>\n<pre>{command} status\n{command} agent -m \"hello\"\n{command} fleet ls</pre>\n\
         <h2>With a client</h2>\n<pre>ws://127.0.0.1:{port}\n{command} config get gateway.auth.{secret} --reveal</pre>\n\
         <p>Any client of OpenClaw's protocol 3 or 4 connects here with that {secret}.</p>\n\
         <h2>Over HTTP</h2>\n<pre>{routes}</pre>\n\
         <p><a href=\"https://docs.openclaw.ai/gateway/protocol\" rel=\"noreferrer\">The protocol</a>, \
         <a href=\"https://docs.openclaw.ai/gateway/openai-http-api\" rel=\"noreferrer\">OpenAI's API here</a>.</p>\n\
         </body>\n</html>\n",
        routes = "GET  /healthz, /readyz, /startupz\nGET  /metrics                with the secret\n\
                  POST /v1/chat/completions    with the secret, where the config enables it\n\
                  POST /v1/responses           with the secret, where the config enables it\n\
                  POST /tools/invoke           with the secret\n\
                  POST /hooks/agent            with hooks.token, where the config enables it",
    );
    whole(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(text))
}

/// How it looks.
pub(super) fn style() -> Answer {
    whole(StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
