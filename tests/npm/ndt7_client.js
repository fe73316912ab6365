// Runs npm's @m-lab/ndt7 as it is published against HOST:PORT and prints one JSON object.
//
//   node ndt7_client.js ws|wss HOST:PORT
//
// The library is made for browsers: it asks for a Worker that loads a file, and its workers for
// WebSocket, postMessage and `self`. Node has worker threads and the ws package for these.
'use strict';
const path = require('node:path');
const threads = require('node:worker_threads');

if (!threads.isMainThread) {
  const WebSocket = require('ws');
  const tls = {rejectUnauthorized: false};
  globalThis.WebSocket = class extends WebSocket {
    constructor(url, protocol) {
      super(url, protocol, tls);
    }
  };
  globalThis.self = globalThis;
  globalThis.postMessage = (message) => threads.parentPort.postMessage(message);
  threads.parentPort.on('message', (data) => globalThis.onmessage({data}));
  require(threads.workerData);
} else {
  globalThis.Worker = class {
    constructor(file) {
      this.thread = new threads.Worker(__filename, {workerData: file});
      this.thread.on('message', (data) => this.onmessage({data}));
    }
    postMessage(message) {
      this.thread.postMessage(message);
    }
    terminate() {
      return this.thread.terminate();
    }
  };
  const ndt7 = require('@m-lab/ndt7');
  const folder = path.dirname(require.resolve('@m-lab/ndt7'));
  const [protocol, server] = process.argv.slice(2);
  const told = {measurements: {client: 0, server: 0}};
  const count = (one) => told.measurements[one.Source] += 1;
  ndt7.test(
      {
        server,
        protocol,
        mlabDataPolicyInapplicable: true,
        downloadworkerfile: path.join(folder, 'ndt7-download-worker.js'),
        uploadworkerfile: path.join(folder, 'ndt7-upload-worker.js'),
      },
      {
        error: (error) => {
          told.error = String(error);
        },
        downloadMeasurement: count,
        uploadMeasurement: count,
        downloadComplete: (data) => {
          told.download = data;
        },
        uploadComplete: (data) => {
          told.upload = data;
        },
      },
  ).then((code) => {
    told.code = code;
    process.stdout.write(JSON.stringify(told) + '\n', () => process.exit(0));
  });
}
