import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist/', 'node_modules/', 'examples/', 'coverage/'] }),
  {
    rules: {
      // TypeScript's own checks know that a type and a value may share one name.
      'no-redeclare': 'off',
      '@typescript-eslint/no-redeclare': 'off',
      // Fields of the wire are snake_case, and keep their names inside.
      camelcase: 'off',
      // `??=` in a return is the shortest way to say "made once".
      'no-return-assign': 'off',
      // Fixtures without dependencies take `{}` by vitest's own rule.
      'no-empty-pattern': 'off'
    }
  }
]
