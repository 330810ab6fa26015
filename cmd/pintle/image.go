package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// imageOptions are what the image commands share: they speak to the agents of
// nodes, by way of the API server.
type imageOptions struct {
	factory cmdutil.Factory
	streams genericiooptions.IOStreams
	nodes   []string
}

func newImageCommand(factory cmdutil.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := &imageOptions{factory: factory, streams: streams}
	cmd := &cobra.Command{
		Use:   "image",
		Short: "List, import and remove images on nodes",
		Example: `  # Bring an image to every node without a registry
  docker save web:1 | pintle image import -
  pintle image list --node worker-1`,
	}
	cmd.PersistentFlags().StringSliceVar(&o.nodes, "node", nil, "nodes to work on; all that are ready by default")
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List images", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.list(c.Context()) },
	}
	load := &cobra.Command{
		Use: "import ARCHIVE", Short: "Import the images of an OCI or docker archive (- for standard input)", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.load(c.Context(), args[0]) },
	}
	remove := &cobra.Command{
		Use: "remove IMAGE...", Aliases: []string{"rm"}, Short: "Remove images by name or ID", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.remove(c.Context(), args) },
	}
	cmd.AddCommand(list, load, remove)
	return cmd
}

// nodeImage is a line of the agent's answer.
type nodeImage struct {
	ID        string   `json:"id"`
	Tags      []string `json:"tags"`
	SizeBytes int64    `json:"sizeBytes"`
}

func (o *imageOptions) list(ctx context.Context) error {
	w := tabwriter.NewWriter(o.streams.Out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NODE\tIMAGE\tID\tSIZE")
	err := o.eachNode(ctx, func(client kubernetes.Interface, node string) error {
		images, err := o.images(ctx, client, node, nil)
		if err != nil {
			return err
		}
		for _, i := range images {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", node, imageName(i), shortID(i.ID), size(i.SizeBytes))
		}
		return nil
	})
	return firstError(err, w.Flush())
}

func (o *imageOptions) load(ctx context.Context, archive string) error {
	if archive == "-" {
		// The archive is read once a node, and standard input only once.
		file, err := os.CreateTemp("", "pintle-image-*.tar")
		if err != nil {
			return err
		}
		defer os.Remove(file.Name())
		if _, err := io.Copy(file, o.streams.In); err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if err := file.Close(); err != nil {
			return err
		}
		archive = file.Name()
	}
	return o.eachNode(ctx, func(client kubernetes.Interface, node string) error {
		file, err := os.Open(archive)
		if err != nil {
			return err
		}
		defer file.Close()
		images, err := o.images(ctx, client, node, file)
		if err != nil {
			return fmt.Errorf("importing on %s: %w", node, err)
		}
		for _, i := range images {
			fmt.Fprintf(o.streams.Out, "%s: %s (%s, %s)\n", node, imageName(i), shortID(i.ID), size(i.SizeBytes))
		}
		return nil
	})
}

// images lists those of a node or, with an archive, imports it and lists what
// it had.
func (o *imageOptions) images(ctx context.Context, client kubernetes.Interface, node string, archive io.Reader) ([]nodeImage, error) {
	req := client.CoreV1().RESTClient().Verb(http.MethodGet)
	if archive != nil {
		req = client.CoreV1().RESTClient().Post().SetHeader("Content-Type", "application/x-tar").Body(archive)
	}
	raw, err := req.Resource("nodes").Name(node).SubResource("proxy", "images").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Images []nodeImage `json:"images"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer of node %s: %w", node, err)
	}
	return answer.Images, nil
}

func (o *imageOptions) remove(ctx context.Context, images []string) error {
	return o.eachNode(ctx, func(client kubernetes.Interface, node string) error {
		for _, image := range images {
			err := client.CoreV1().RESTClient().Delete().Resource("nodes").Name(node).SubResource("proxy", "images").Param("image", image).Do(ctx).Error()
			if err != nil {
				return fmt.Errorf("removing %s on %s: %w", image, node, err)
			}
			fmt.Fprintf(o.streams.Out, "%s: %s removed\n", node, image)
		}
		return nil
	})
}

func (o *imageOptions) eachNode(ctx context.Context, do func(kubernetes.Interface, string) error) error {
	client, err := o.factory.KubernetesClientSet()
	if err != nil {
		return err
	}
	nodes := o.nodes
	if len(nodes) == 0 {
		list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, n := range list.Items {
			if isReady(&n) {
				nodes = append(nodes, n.Name)
			}
		}
		if len(nodes) == 0 {
			return fmt.Errorf("no node is ready: see \"pintle get nodes\"")
		}
	}
	for _, node := range nodes {
		if err := do(client, node); err != nil {
			return err
		}
	}
	return nil
}

func isReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func imageName(i nodeImage) string {
	if len(i.Tags) == 0 {
		return "<none>"
	}
	return strings.Join(i.Tags, ",")
}

func shortID(id string) string {
	_, hex, found := strings.Cut(id, ":")
	if !found {
		hex = id
	}
	return hex[:min(12, len(hex))]
}

func size(n int64) string {
	const mib = 1 << 20
	return fmt.Sprintf("%.1fMiB", float64(n)/mib)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
