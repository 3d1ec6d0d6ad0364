// What a program does that was written with npm `openclaw-node`: one JSON line for each thing that it sees.
// Arguments: address, token. NODE_PATH says where the library is.
const { OpenClawClient } = require('openclaw-node');

const [url, token] = process.argv.slice(2);
const tell = (what, value) => console.log(JSON.stringify({ what, value: value ?? null }));
const connect = async () => {
  const client = new OpenClawClient({ url, token, autoReconnect: false });
  client.on?.('error', (error) => tell('error', String(error)));
  await client.connect();
  return client;
};

async function chat(client, message, sessionKey) {
  const kinds = {};
  let text = '';
  for await (const it of client.chat(message, { sessionKey })) {
    kinds[it.type] = (kinds[it.type] ?? 0) + 1;
    if (it.type === 'text') text += it.text;
    if (it.type === 'text' && message.includes('without end') && kinds.text === 1) {
      tell('abort', await client.chatAbort(sessionKey));
    }
  }
  return { kinds, text };
}

(async () => {
  const [client, other] = [await connect(), await connect()];
  const key = 'agent:main:library';
  const heard = [];
  const watch = await other.sessions.subscribeMessages(key, (it) => heard.push(it.event));
  tell('chat', await chat(client, 'hello from a library', key));
  tell('aborted', await chat(client, 'talk without end', key));
  tell('history', (await client.sessions.history(key)).messages.map((it) => it.role));
  tell('sessions', (await client.sessions.list()).sessions.map((it) => it.key));
  tell('describe', await client.sessions.describe(key));
  tell('agents', await client.agents.list());
  tell('config', (await client.config.get()).valid);
  tell('channels', await client.channels.status());
  tell('health', (await client.health()).ok);
  tell('heard', [...new Set(heard)].sort());
  await watch.unsubscribe();
  const refused = await client.request('no.such.method', {}).catch((error) => error.message);
  tell('unknown', refused);
  await client.disconnect();
  await other.disconnect();
  tell('end');
})().catch((error) => {
  tell('failed', String(error?.stack ?? error));
  // Open connections would keep it going.
  process.exit(1);
});
