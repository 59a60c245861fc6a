import jupyter from '@jupyter/eslint-plugin';
import hooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['node_modules', '*.js', '*.mjs'] },
  ...tseslint.configs.strict.map(each => ({ ...each, files: ['src/**/*.{ts,tsx}'] })),
  ...tseslint.configs.stylistic.map(each => ({ ...each, files: ['src/**/*.{ts,tsx}'] })),
  { plugins: { jupyter } },
  ...jupyter.configs.recommended,
  // All of it is 20 kB, and all of it is seen at once.
  { rules: { 'jupyter/prefer-lazy-imports': 'off' } },
  // What a test makes ends with it, and what it says nobody translates.
  {
    files: ['src/**/*.spec.{ts,tsx}'],
    rules: { 'jupyter/require-disposable-ownership': 'off', 'jupyter/no-untranslated-string': 'off' }
  },
  {
    files: ['src/**/*.{ts,tsx}'],
    plugins: { 'react-hooks': hooks },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      ...hooks.configs.recommended.rules,
      eqeqeq: 'error',
      'no-console': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true }
      ],
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'interface', format: ['PascalCase'], prefix: ['I'] }
      ]
    }
  }
);
