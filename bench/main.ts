console.error('usage: npm run bench -- true | matrix');
process.exitCode = 2;
