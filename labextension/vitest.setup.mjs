globalThis.IS_REACT_ACT_ENVIRONMENT = true;
// jsdom has none, and JupyterLab's widgets name it when they are imported.
globalThis.DragEvent ??= class extends MouseEvent {};
