"""The animation generator: a clip frame by frame from several references (section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gfla.config import AnimationConfig
from gfla.errors import GflaError
from gfla.models.attention import SourceFeatures
from gfla.models.blocks import Encoder, join
from gfla.models.flow import Estimates
from gfla.models.fusion import Brought, Fused, ImageFusion
from gfla.models.later import Later, begin
from gfla.models.regions import Finished, RegionHeads
from gfla.models.renderer import Renderer
from gfla.models.rollout import Prediction, Reference, RolloutState, Told, known_of
from gfla.ops.spline import landmark_flow, reach_of_heads
from gfla.ops.warp import downscale_flow, upscale_flow, warp
from gfla.shapes import check_sides, shape_of


class AnimationGenerator(nn.Module):
    """Renders a clip frame by frame from a source picture and the frames before (section 5).

    The pictures may be a whole multiple of the structures' size if the generator has image-scale
    fusion: the networks then see a reduced picture, the blend samples the full one.

    Attributes:
        pool: of threads that work on parts of a step beside the caller's; None is one by one.
    """

    def __init__(
        self,
        config: AnimationConfig,
        encoders: dict[str, Encoder],
        flow_estimator: nn.Module,
        renderer: Renderer,
        fusion: ImageFusion | None,
        regions: RegionHeads | None = None,
    ) -> None:
        """Put the network together.

        Args:
            config: what it was built from.
            encoders: of the pictures, by kind of reference: "previous" and "reference".
            flow_estimator: one for all references, or a ``ModuleDict`` of one for each kind.
            renderer: the target branch.
            fusion: image-scale fusion, if any.
            regions: what draws mouth and eyes into the blend, if anything.
        """
        super().__init__()
        self.config = config
        self.encoders = nn.ModuleDict(encoders)
        self.flow_estimator = flow_estimator
        self.renderer = renderer
        self.fusion = fusion
        self.regions = regions
        self.pool: Executor | None = None

    def start(
        self, image: Tensor, structure: Tensor, landmarks: Tensor | None = None
    ) -> RolloutState:
        """Begin a clip; everything that depends on the source alone is computed here.

        Args:
            image: B 3 H W in [-1, 1], the source picture.
            structure: B C h w, its structure guidance.
            landmarks: B 68 2 in units of the picture; needed with a landmark flow prior or region
                heads.

        Returns:
            The state before the first frame: previous image and structure are the source's.

        Raises:
            GflaError: ``invalid_shape`` or ``landmarks_needed``.
        """
        source = self.source(image, structure, landmarks)
        # Before the first frame nothing has been rendered: the source stands in.
        previous = self.reference("previous", image, structure, landmarks)
        return RolloutState(source, (previous,) * self.config.previous_frames)

    def source(
        self, image: Tensor, structure: Tensor, landmarks: Tensor | None = None
    ) -> Reference:
        """A clip's own reference, all that ``start`` computes but for what stands in before it.

        Arguments and errors as of ``start``.
        """
        self._check(structure, landmarks, image)
        source = self.reference("reference", image, structure, landmarks)
        if self.regions is not None and landmarks is not None:
            source = replace(source, regions=self.regions.source(image, landmarks))
        return source

    def step(
        self, state: RolloutState, structure: Tensor, landmarks: Tensor | None = None
    ) -> tuple[RolloutState, Prediction]:
        """Render the next frame: ``tell``, ``advance`` and ``finish``.

        Args:
            state: of ``start`` or of the step before.
            structure: B C h w of the frame to render.
            landmarks: B 68 2 of that frame, in units of the picture.

        Returns:
            The state after this frame, and the frame.

        Raises:
            GflaError: ``invalid_shape`` or ``landmarks_needed``.
        """
        told = self.tell(structure, landmarks, known_of(state))
        after, prediction = self.advance(state, told)
        return after, self._whole(prediction, told, state.source)

    def tell(
        self, structure: Tensor, landmarks: Tensor | None, known: Sequence[Tensor | None]
    ) -> Told:
        """The part of a step that waits for no frame to be rendered.

        Args:
            structure: as of ``step``.
            landmarks: likewise.
            known: the landmarks of all references, as ``known_of`` gives them for a state.

        Raises:
            GflaError: ``invalid_shape`` or ``landmarks_needed``.
        """
        self._check(structure, landmarks, None)
        prior = self.prior(structure, landmarks, known)
        return Told(structure, landmarks, prior, self.renderer.encode(structure))

    def advance(self, state: RolloutState, told: Told) -> tuple[RolloutState, Prediction]:
        """The part of a step that the next one waits for.

        Args:
            state: of ``start`` or of the step before.
            told: of ``tell``, for this state.

        Returns:
            The state after this frame, and the frame, in which ``finish`` has still to draw.

        Raises:
            GflaError: ``invalid_shape``.
        """
        # Flows and masks (section 3.1), and what the renderer makes of them (section 3.2).
        structure, landmarks, prior = told.structure, told.landmarks, told.prior
        references, estimates, residuals = self._flows(state, structure, prior)
        # Beside this thread, the references are moved to their places at the picture's own size.
        bring = partial(self._bring, structure, references, residuals, prior)
        brought = begin(self.pool, bring)
        kinds = self._kinds(state)
        prepared = [(k, r.features) for k, r in zip(kinds, references, strict=True)]
        encoded = self.renderer.encode(structure) if told.encoded is None else told.encoded
        output = self.renderer(encoded, prepared, estimates)
        # The blend there; without fusion the renderer's output is the picture.
        fused: Fused | None = None
        if self.fusion is not None and (parts := brought()) is not None:
            fused = self.fusion(output, parts)
        image = fused.picture if fused else output.tanh()
        prediction = Prediction(
            image=image,
            flows=self._named({layer: flows for layer, (flows, _) in estimates.items()}),
            masks=self._named({layer: masks for layer, (_, masks) in estimates.items()}),
            rendered=fused.rendered if fused else image,
            blend=fused.shares if fused else None,
            residuals=self._named(residuals),
        )
        if self.config.finished_reference:
            prediction = self._whole(prediction, told, state.source)
        # The frame becomes the newest of the previous ones; the oldest leaves.
        latest = self.reference("previous", prediction.image, structure, landmarks)
        latest = replace(latest, flow=_moved(residuals, prior, structure))
        return RolloutState(state.source, (latest, *state.previous[:-1])), prediction

    def finish(
        self, image: Tensor, landmarks: Tensor | None, source: Reference, every: bool = False
    ) -> Finished | None:
        """The part of a step that nothing waits for: mouth and eyes, drawn into the frame.

        Args:
            image: B 3 H W in [-1, 1], of a prediction of ``advance`` without regions.
            landmarks: B 68 2, those of the frame.
            source: of the state.
            every: as of ``RegionHeads.forward``.

        Returns:
            The frame with its regions; None where nothing draws them.
        """
        if self.regions is None or landmarks is None or source.landmarks is None:
            return None
        known = source.landmarks
        finished: Finished = self.regions(image, landmarks, source.regions, known, every)
        return finished

    def _whole(self, prediction: Prediction, told: Told, source: Reference) -> Prediction:
        if prediction.regions is not None:
            return prediction
        finished = self.finish(prediction.image, told.landmarks, source, every=True)
        if finished is not None:
            prediction = replace(prediction, image=finished.picture, regions=finished)
        return prediction

    def estimate(
        self, state: RolloutState, structure: Tensor, landmarks: Tensor | None = None
    ) -> dict[tuple[int, str], Tensor]:
        """The flows of ``step`` alone, by (layer, reference); the state's features may be empty."""
        self._check(structure, landmarks, None)
        prior = self.prior(structure, landmarks, known_of(state))
        _, estimates, _ = self._flows(state, structure, prior)
        return self._named({layer: flows for layer, (flows, _) in estimates.items()})

    def _flows(
        self, state: RolloutState, structure: Tensor, prior: Tensor | None
    ) -> tuple[tuple[Reference, ...], Estimates, dict[int, Tensor]]:
        """References, flows and masks, and the estimated part of the flows."""
        if structure.shape != state.source.structure.shape:
            got, wanted = tuple(structure.shape), tuple(state.source.structure.shape)
            raise GflaError("invalid_shape", f"structure is {got}, the clip's is {wanted}")
        references = (*state.previous, state.source)
        estimates = self._estimate(structure, self._kinds(state), references, prior)
        residuals = {layer: flows for layer, (flows, _) in estimates.items()}
        if prior is not None:
            estimates = _add_prior(estimates, prior)
        return references, estimates, residuals

    @staticmethod
    def _kinds(state: RolloutState) -> tuple[str, ...]:
        return ("previous",) * len(state.previous) + ("reference",)

    def reference(
        self, kind: str, image: Tensor, structure: Tensor, landmarks: Tensor | None
    ) -> Reference:
        """A picture as a reference of its kind, "previous" or "reference": a part of a state."""
        # Networks see the structure's size; the blend alone needs the picture's own.
        small = image
        if image.shape[-2:] != structure.shape[-2:]:
            small = F.avg_pool2d(image, image.shape[-1] // structure.shape[-1])
        features = Later(begin(self.pool, partial(self._features, kind, small)))
        flow = _moved({}, None, structure) if kind == "previous" else None
        return Reference(image, small, structure, landmarks, features, flow=flow)

    def _features(self, kind: str, picture: Tensor) -> Mapping[int, SourceFeatures]:
        return self.renderer.prepare(kind, self.encoders[kind](picture))

    def prior(
        self, structure: Tensor, landmarks: Tensor | None, known: Sequence[Tensor | None]
    ) -> Tensor | None:
        """Landmark flow to every reference at the structure's size, if there is one: B R 2 h w.

        It solves equations, which CUDA graphs cannot take in. Arguments as of ``tell``.
        """
        if not self.config.flow_prior or landmarks is None:
            return None
        # All references at once: they share the spline's matrix.
        there, config = torch.stack([one for one in known if one is not None], 1), self.config
        height, width = structure.shape[-2:]
        flow = landmark_flow(landmarks, there, (height, width), config.prior_ridge)
        if config.prior_reach:
            flow = flow * reach_of_heads(landmarks, there, (height, width), config.prior_reach)
        return flow

    def _estimate(
        self,
        structure: Tensor,
        kinds: tuple[str, ...],
        references: tuple[Reference, ...],
        prior: Tensor | None,
    ) -> Estimates:
        """Flows and masks of all references; the estimators see the prior but do not add it."""
        # In units of the picture, so that the networks see numbers of one scale at any size.
        prior = None if prior is None else prior / structure.shape[-1]
        # One estimator for all references together, as the published face model has.
        if not isinstance(self.flow_estimator, nn.ModuleDict):
            shown = [t for reference in references for t in (reference.small, reference.structure)]
            if prior is not None:
                shown.append(prior.flatten(1, 2))
            together: Estimates = self.flow_estimator(join([structure, *shown]))
            return together
        # An estimator for each kind, as the published dance model has: here the target comes last.
        apart = []
        for index, (kind, reference) in enumerate(zip(kinds, references, strict=True)):
            shown = [reference.small, reference.structure, structure]
            if prior is not None:
                shown.append(prior[:, index])
            apart.append(self.flow_estimator[kind](join(shown)))
        flows = {layer: torch.cat([one[layer][0] for one in apart], 1) for layer in apart[0]}
        masks = {layer: torch.cat([one[layer][1] for one in apart], 1) for layer in apart[0]}
        return {layer: (flows[layer], masks[layer]) for layer in flows}

    def _bring(
        self,
        structure: Tensor,
        references: tuple[Reference, ...],
        residuals: dict[int, Tensor],
        prior: Tensor | None,
    ) -> Brought | None:
        """What the references bring to the blend, if there is image-scale fusion."""
        if self.fusion is None:
            return None
        images = [reference.image for reference in references]
        scale = images[0].shape[-1] // structure.shape[-1]
        finest = min(residuals)
        flows = []
        for index in range(len(images)):
            # Residual and prior are enlarged apart: the prior is finer than any layer's flow.
            flow = upscale_flow(residuals[finest][:, index], scale * 2**finest)
            if prior is not None:
                flow = flow + upscale_flow(prior[:, index], scale)
            flows.append(flow)
        structures = []
        if self.fusion.correct is not None:
            # The source's structure moved to the target, as the networks see it.
            known = references[-1].structure
            structures = [structure, warp(known, downscale_flow(flows[-1], scale))]
        return self.fusion.bring(images, flows, scale, structures)

    def _named(self, values: dict[int, Tensor]) -> dict[tuple[int, str], Tensor]:
        return {
            (layer, name): stacked[:, index]
            for layer, stacked in values.items()
            for index, name in enumerate(self.config.references)
        }

    def _check(self, structure: Tensor, landmarks: Tensor | None, image: Tensor | None) -> None:
        config = self.config
        channels = config.structure_channels
        batch, _, height, width = shape_of("structure", structure, "B C h w", C=channels)
        check_sides("structure", height, width, config.multiple)
        if config.needs_landmarks:
            if landmarks is None:
                what = "a landmark flow prior" if config.flow_prior else "a region head"
                raise GflaError("landmarks_needed", f"{what} needs landmarks")
            shape_of("landmarks", landmarks, "B 68 2", B=batch)
        if config.has_heads and height != width:
            raise GflaError("invalid_shape", f"structure is {height} x {width}; heads need squares")
        if image is None:
            return
        shape_of("image", image, "B 3 H W", B=batch)
        # Pictures: a whole multiple of the structures, and as large as they without fusion.
        scale = image.shape[-1] // width
        if image.shape[-2:] != (scale * height, scale * width):
            allowed = f"a whole multiple of the structure's {height} x {width}"
        elif scale > 1 and self.fusion is None:
            allowed = f"{height} x {width}, as there is no image-scale fusion"
        else:
            return
        raise GflaError("invalid_shape", f"image is {tuple(image.shape)}; allowed: {allowed}")


def _add_prior(estimates: Estimates, prior: Tensor) -> Estimates:
    batch, references = prior.shape[:2]
    flat = prior.flatten(0, 1)
    return {
        # The prior in pixels of the layer, added to the estimated residual.
        layer: (flows + downscale_flow(flat, 2**layer).unflatten(0, (batch, references)), masks)
        for layer, (flows, masks) in estimates.items()
    }


def _moved(residuals: dict[int, Tensor], prior: Tensor | None, structure: Tensor) -> Tensor:
    """The flow to the source, the last reference, at half the structure's size; see Reference."""
    batch, _, height, width = structure.shape
    flow = structure.new_zeros(batch, 2, height // 2, width // 2, dtype=torch.float32)
    with torch.no_grad():
        if residuals:
            finest = min(residuals)
            flow = flow + upscale_flow(residuals[finest][:, -1], 2 ** (finest - 1))
        if prior is not None:
            flow = flow + downscale_flow(prior[:, -1], 2)
        # Numbers, not a tensor of them, as for CUDA graphs.
        return torch.stack([flow[:, 0] * (2 / width), flow[:, 1] * (2 / height)], 1)
