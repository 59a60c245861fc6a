# Hear of every installer that is called in this R, before it works and when it has, without changing what it does.
#
# `begins()` is called before the outermost one, and `ends(call)` after it: a list of its tool, verb, packages, command.
# Either may fail; the installer works all the same.
installs <- function(library, begins, ends) {
  hosted <- c("github", "gitlab", "bitbucket", "git", "svn", "url", "version", "cran", "bioc", "local", "dev")
  listed <- list(
    utils = list(install = c("install.packages", "update.packages"), remove = "remove.packages"),
    BiocManager = list(install = "install"),
    remotes = list(install = c(paste0("install_", hosted), "install_deps", "update_packages")),
    devtools = list(install = c("install", paste0("install_", hosted), "install_deps", "update_packages")),
    pak = list(install = c("pkg_install", "pak", "local_install", "pkg_upgrade"), remove = "pkg_remove"),
    renv = list(install = c("install", "restore", "update"), remove = "remove")
  )
  unnamed <- c("update.packages", "install_deps", "local_install", "restore")
  deep <- 0L

  quietly <- function(step) tryCatch(step, error = function(e) NULL)
  # Whether what is installed goes to another library than ours.
  elsewhere <- function(frame) {
    for (each in c("lib", "library")) {
      if (!exists(each, frame, inherits = FALSE) || eval(call("missing", as.name(each)), frame)) next
      given <- get(each, frame)
      if (is.character(given) && length(given)) return(!normalizePath(given[[1L]], mustWork = FALSE) %in% normalizePath(library))
    }
    FALSE
  }
  words <- function(name, argument, frame) {
    if (is.null(argument) || name %in% unnamed || eval(call("missing", as.name(argument)), frame)) return(list())
    # As the installer itself would: what is wrong with it is told by R, as ever.
    given <- get(argument, frame)
    as.list(utils::head(as.character(unlist(given)), 500L))
  }

  # What the body of an installer is handed to; it is evaluated in the installer's own frame.
  around <- function(tool, name, verb, argument) {
    force(tool); force(name); force(verb); force(argument)
    function(code) {
      if (deep > 0L) {
        seen <- withVisible(code)
        return(if (seen$visible) seen$value else invisible(seen$value))
      }
      frame <- parent.frame()
      said <- list(
        tool = tool, verb = verb, packages = words(name, argument, frame),
        command = paste(deparse(sys.call(-1L), width.cutoff = 500L, nlines = 1L), collapse = "")
      )
      ours <- !elsewhere(frame)
      deep <<- deep + 1L
      on.exit({
        deep <<- deep - 1L
        if (ours) quietly(ends(said))
      })
      if (ours) quietly(begins())
      seen <- withVisible(code)
      if (seen$visible) seen$value else invisible(seen$value)
    }
  }
  put <- function(place, name, made) {
    if (!exists(name, place, inherits = FALSE)) return()
    locked <- bindingIsLocked(name, place)
    if (locked) unlockBinding(name, place)
    assign(name, made, place)
    if (locked) lockBinding(name, place)
  }
  watch <- function(package, name, verb) {
    stock <- get0(name, asNamespace(package), mode = "function", inherits = FALSE)
    if (typeof(stock) != "closure") return()
    tool <- if (package == "utils") name else paste0(package, "::", name)
    made <- stock
    body(made) <- as.call(list(around(tool, name, verb, names(formals(stock))[1L]), body(stock)))
    attributes(made) <- attributes(stock)
    put(asNamespace(package), name, made)
    attached <- paste0("package:", package)
    if (attached %in% search()) put(as.environment(attached), name, made)
  }
  enter <- function(package) {
    for (verb in names(listed[[package]])) for (name in listed[[package]][[verb]]) quietly(watch(package, name, verb))
  }
  for (package in names(listed)) {
    if (package %in% loadedNamespaces()) enter(package)
    local({
      one <- package
      setHook(packageEvent(one, "onLoad"), function(...) enter(one))
    })
  }
}
