// Lets this process load our TypeScript sources, whatever folder it runs in.
const path = require('node:path');

require('ts-node').register({ transpileOnly: true, project: path.resolve(__dirname, '..', 'tsconfig.json') });
