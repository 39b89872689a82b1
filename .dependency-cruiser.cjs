/** The layers of docs/architecture.md: a file imports its own folder and what is named here, nothing else. */
const only = (from, allowed) => ({
  name: `${from.replaceAll('/', '-')}-imports-only-${allowed.join('-').replaceAll('/', '-') || 'itself'}`,
  severity: 'error',
  from: { path: `^src/${from}/` },
  to: { path: '^src/', pathNot: [from, ...allowed].map((layer) => `^src/${layer}/`) },
})
/** The composition root: files of src/ itself, which know every layer. */
const ROOT = 'root'
/** Packages with a home: nothing outside of these folders imports them. */
const home = (packages, ...folders) => ({
  name: `${packages[0].replace('/', '-')}-lives-in-${folders.join('-').replaceAll('/', '-')}`,
  severity: 'error',
  from: {
    path: '^src/',
    pathNot: folders.map((folder) => (folder === ROOT ? '^src/[^/]+$' : `^src/${folder}/`)),
  },
  to: { path: packages.map((name) => `^node_modules/${name}/`) },
})

module.exports = {
  forbidden: [
    only('lib', []),
    only('core', ['lib']),
    only('config', ['core', 'lib']),
    only('store', ['core', 'lib']),
    only('providers', ['core', 'lib']),
    only('http', ['core', 'lib']),
    only('cli', ['core', 'lib']),
    only('supervisor', ['lib']),
    home(['pkcs11js', 'graphene-pk11'], 'providers/pkcs11'),
    home(['fastify'], 'http'),
    home(['fast-xml-builder'], 'http'),
    home(['better-sqlite3', 'kysely'], 'store'),
    home(['yaml'], 'config'),
    home(['commander'], 'cli'),
    home(['zod'], 'config', 'http'),
    home(['prom-client'], 'http', ROOT),
    home(['pino'], 'http', ROOT),
    home(['@bufbuild/protobuf'], 'http/alibaba/instance'),
    home(['node-forge'], 'providers/client-keys'),
    home(['@noble/curves', '@noble/post-quantum'], 'core'),
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'source-imports-no-test',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|scripts)/' },
    },
    {
      name: 'no-development-package-at-run-time',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg'] },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
}
