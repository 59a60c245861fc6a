# Say where IRkernel and all that it needs lies, a folder to a line; nothing where this R does not have it.
local({
  there <- installed.packages()
  there <- there[!duplicated(there[, "Package"]), , drop = FALSE]
  if (!"IRkernel" %in% rownames(there)) return()
  needed <- unlist(tools::package_dependencies("IRkernel", db = there, recursive = TRUE))
  needed <- intersect(c("IRkernel", needed), rownames(there)[!there[, "Priority"] %in% "base"])
  writeLines(file.path(there[needed, "LibPath"], needed))
})
