package main

import (
	"github.com/pintle-io/pintle/sdk/plugin"
	"github.com/pintle-io/pintle/sdk/runtime"
)

func main() {
	runtime.Serve(plugin.Info{Name: "hollow", Version: "0.1.0", ConfigSchema: []byte(schema)}, newHollow())
}

// schema: there is nothing to configure.
const schema = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false}`
