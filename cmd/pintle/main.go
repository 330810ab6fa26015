// pintle is the command line of a Pintle cluster: the commands that operators
// know from kubectl, built from the same library, and Pintle's own.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	if err := useLocalCluster(); err != nil {
		fmt.Fprintln(os.Stderr, "pintle:", err)
		os.Exit(1)
	}
	if err := cli.RunNoErrOutput(newCommand(streams)); err != nil {
		cmdutil.CheckErr(err)
	}
}

const long = `pintle controls a Pintle cluster.

It has the commands of kubectl, with the same flags and output, and these of its
own. Without --kubeconfig and $KUBECONFIG it uses the cluster on this machine,
if there is one that you may read, else ~/.kube/config.`

func newCommand(streams genericiooptions.IOStreams) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50)
	root := kubectl.NewKubectlCommand(kubectl.KubectlOptions{ConfigFlags: flags, Arguments: os.Args, IOStreams: streams})
	root.Use, root.Short, root.Long = "pintle", "pintle controls a Pintle cluster", long
	for _, c := range root.Commands() {
		// kubectl's own plugins, preferences and alpha commands are not ours.
		if c.Name() == "plugin" || c.Name() == "kuberc" || c.Name() == "alpha" {
			root.RemoveCommand(c)
		}
	}
	factory := cmdutil.NewFactory(cmdutil.NewMatchVersionFlags(flags))
	own := []*cobra.Command{
		newKubeconfigCommand(streams),
		newTokenCommand(factory, streams),
		newImageCommand(factory, streams),
		newStoreCommand(streams),
	}
	groups := groupsOf(root)
	root.AddCommand(own...)
	groups = append(templates.CommandGroups{{Message: "Pintle Commands:", Commands: own}}, groups...)
	templates.ActsAsRootCommand(root, []string{"options"}, groups...)
	return root
}

// groups of kubectl's commands in the help, most used first; what is not named
// here is listed under "Other Commands".
var helpGroups = []struct {
	message  string
	commands []string
}{
	{"Look:", []string{"get", "describe", "events", "logs", "explain", "top", "wait", "api-resources", "api-versions", "cluster-info"}},
	{"Change:", []string{"apply", "create", "run", "expose", "scale", "set", "edit", "patch", "replace", "delete", "label", "annotate", "diff"}},
	{"Work with pods:", []string{"exec", "attach", "port-forward", "cp", "debug", "proxy"}},
	{"Work with nodes:", []string{"cordon", "uncordon", "drain", "taint"}},
}

func groupsOf(root *cobra.Command) templates.CommandGroups {
	byName := map[string]*cobra.Command{}
	for _, c := range root.Commands() {
		byName[c.Name()] = c
	}
	var groups templates.CommandGroups
	for _, g := range helpGroups {
		group := templates.CommandGroup{Message: g.message}
		for _, name := range g.commands {
			if c := byName[name]; c != nil {
				group.Commands = append(group.Commands, c)
			}
		}
		groups = append(groups, group)
	}
	return groups
}
