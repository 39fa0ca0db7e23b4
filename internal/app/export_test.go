package app

// SealedTables are all places with values that keys protect.
var SealedTables = (*App).sealedTables
