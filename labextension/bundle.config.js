// The bundler reads TypeScript itself, so a build needs no compiler and none of JupyterLab's packages; `jlpm lint` checks types.
module.exports = {
  resolve: { extensions: ['.tsx', '.ts', '.js'] },
  module: {
    rules: [
      {
        test: /\.tsx?$/,
        type: 'javascript/auto',
        loader: 'builtin:swc-loader',
        options: {
          jsc: {
            parser: { syntax: 'typescript', tsx: true },
            target: 'es2020'
          }
        }
      }
    ]
  }
};
